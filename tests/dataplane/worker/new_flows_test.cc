// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/new_flows.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

class NewFlowsTest : public FlowPartsTest {
 protected:
  void SetUp() override {
    PartsTest::SetUp();
    if (has_snapshot_) end_snapshot();
    put_all();
    resets_.begin_poll();
    proxy_->begin_poll();
  }
  void put_all(channel::PutService message = {}) {
    sole_service_ = 0;
    for (uint16_t id = 0; id < 3; id++) put_backend(id);
    put_service({0, 1, 2}, message);
  }
  static Frame syn(uint16_t n) { return Frame().from(client(n)).to(vip()).syn().seq(1000); }
  static Frame in_mid_stream(uint16_t n) {
    return Frame().from(client(n)).to(vip()).seq(2000).ack(6000).payload("NOOP");
  }
  static Frame of_server(uint16_t n) {
    return Frame().from(backend(0)).to(client(n)).seq(6000).ack(2000).payload("250 ");
  }

  /// The flow that a segment has then. If none, its mbuf is gone.
  FlowIndex place(const Frame& frame, uint32_t port = kFront, FlowIndex has = kNoFlow) {
    const auto burst = burst_of(frame, port);
    burst->flow[0] = has;
    new_flows_->place_if_new(*burst, 0);
    flows_.end_burst();
    if (burst->flow[0] != kNoFlow) rte_pktmbuf_free(burst->mbuf[0]);
    return burst->flow[0];
  }
  /// The backend of client(n), as the table's hash says.
  channel::BackendId hash_of(uint16_t n) {
    Counter refusal = Counter::kDropNoBackend;
    const Packet packet = packet_from(client(n));
    return placement_.choose(0, packet, flows_.place(flows_.hash(packet.source)), false, refusal);
  }

  bool has_snapshot_ = true;
  Random random_{7};
  FlowFinder finder_{flows_, state_};
  Punt punt_{context_};
  IcmpErrors icmp_errors_{context_};
  FlowExpiry expiry_{context_, *observer_, resets_, *lifecycle_, farewell_};
  Placement placement_{context_, *lifecycle_, random_};
  TableRoom room_{context_, *lifecycle_, expiry_, placement_, random_};
  FullnatPorts fullnat_ports_{context_, *lifecycle_, resets_, random_};
  StatelessForwarding stateless_{context_, placement_, icmp_errors_, one_way_, 0x5eed};
  Ownership ownership_{setup_, flows_, state_};
  ToldFlows told_{context_, finder_, ownership_, *lifecycle_, placement_};
  HeldReplies held_{context_};
  AnswerPassing passing_{context_};
  std::unique_ptr<SynProxy> syn_proxy_ = std::make_unique<SynProxy>(context_, *answered_syns_);
  FlowMaker maker_{context_, room_, fullnat_ports_, finder_};
  ProvenClients proven_{context_,
                        {maker_, *lifecycle_, placement_, *proxy_, resets_, *responder_, records_, *syn_proxy_}};
  std::unique_ptr<NewFlows> new_flows_ = std::make_unique<NewFlows>(
      context_, NewFlowParts{finder_, *lifecycle_, room_, placement_, maker_, *proxy_, stateless_, resets_, *responder_,
                             punt_, records_, told_, handover_, held_, passing_, limits_, *syn_proxy_, proven_});
};

TEST_F(NewFlowsTest, ASynBeginsAFlowAsThePlacementSays) {
  const channel::BackendId expected = hash_of(0);
  const FlowIndex index = place(syn(0));
  ASSERT_NE(index, kNoFlow);
  const Flow& flow = flows_[index];
  EXPECT_EQ(flow.client_endpoint(), client(0));
  EXPECT_EQ(flow.backend, expected);
  EXPECT_EQ(flow.state, TcpState::kSynSent);
  EXPECT_EQ(flow.client_next, 1001u);
  EXPECT_EQ(counter(Counter::kFlowsCreated), 1u);
  EXPECT_EQ(place(syn(0)), index) << "a retransmission finds it";
}

TEST_F(NewFlowsTest, InMidStreamTheHashDecidesWhereverTheFlowWasPlacedBefore) {
  for (uint16_t n = 0; n < 20; n++) {
    const channel::BackendId expected = hash_of(n);
    const FlowIndex index = place(in_mid_stream(n));
    ASSERT_NE(index, kNoFlow);
    EXPECT_EQ(flows_[index].backend, expected);
    EXPECT_EQ(flows_[index].state, TcpState::kAdopted);
    EXPECT_EQ(flows_[index].client_next, 2004u);
    EXPECT_EQ(flows_[index].server_next, 6000u);
  }
  EXPECT_EQ(counter(Counter::kFlowsAdopted), 20u);
}

TEST_F(NewFlowsTest, WhatTheServerSaysFirstAfterARestartIsAdoptedToo) {
  EXPECT_EQ(place(of_server(0), kBack), kNoFlow) << "by which router the client is reached is not known";
  EXPECT_EQ(counter(Counter::kDropNoFlow), 1u);
  place(syn(9));  // says so
  const FlowIndex index = place(of_server(0), kBack);
  ASSERT_NE(index, kNoFlow);
  EXPECT_EQ(flows_[index].backend, 0);
  EXPECT_EQ(flows_[index].client_endpoint(), client(0));
  EXPECT_EQ(flows_[index].client_mac, mac(0xc1));
}

TEST_F(NewFlowsTest, ARstOrASynAckBeginsNothing) {
  EXPECT_EQ(place(Frame().from(client(0)).to(vip()).rst().seq(1000)), kNoFlow);
  EXPECT_EQ(place(Frame().from(client(0)).to(vip()).syn().seq(1000).ack(1)), kNoFlow);
  EXPECT_EQ(counter(Counter::kDropNoFlow), 2u);
  EXPECT_EQ(flows_.size(), 0u);
}

TEST_F(NewFlowsTest, AdoptsNoMoreThanItsQuota) {
  uint64_t adopted = 0;
  for (uint32_t n = 0; n < 20'010; n++) {
    const FlowIndex index = place(in_mid_stream(static_cast<uint16_t>(n)));
    if (index == kNoFlow) continue;
    adopted++;
    lifecycle_->forget(index);
  }
  EXPECT_EQ(adopted, 20'000u);
  EXPECT_EQ(counter(Counter::kDropAdoptQuota), 10u);
  pass(1);
  EXPECT_NE(place(in_mid_stream(1)), kNoFlow) << "with time it comes back";
}

TEST_F(NewFlowsTest, APortIsUsedAgainOnceItsConnectionIsOver) {
  const FlowIndex first = place(syn(0));
  lifecycle_->set_state(flows_[first], TcpState::kEstablished);
  EXPECT_EQ(place(syn(0).seq(5), kFront, first), first) << "a forged SYN begins nothing while the old one lives";
  lifecycle_->set_state(flows_[first], TcpState::kClosed);
  const FlowIndex second = place(syn(0).seq(900'000), kFront, first);
  ASSERT_NE(second, kNoFlow);
  EXPECT_EQ(flows_[second].client_next, 900'001u);
  EXPECT_EQ(flows_.size(), 1u);
}

TEST_F(NewFlowsTest, WithoutABackendTheClientIsRefusedAsConfigured) {
  for (uint16_t id = 0; id < 3; id++) put_backend(id, 100, 0, 0);
  channel::PutService message{};
  message.on_no_backend = channel::OnNoBackend::kReset;
  put_service({0, 1, 2}, message);
  EXPECT_EQ(place(syn(0)), kNoFlow);
  const auto reset = sent(kFront);
  ASSERT_EQ(reset.size(), 1u);
  EXPECT_EQ(read(reset[0])->flags & 0x04, 0x04);
  EXPECT_EQ(counters_.service(0).flows_refused, 1u);

  message.on_no_backend = channel::OnNoBackend::kSilence;
  put_service({0, 1, 2}, message);
  EXPECT_EQ(place(syn(1)), kNoFlow);
  EXPECT_TRUE(sent(kFront).empty());
  EXPECT_EQ(counter(Counter::kDropNoBackend), 2u);

  message.on_no_backend = channel::OnNoBackend::k421;
  put_service({0, 1, 2}, message);
  EXPECT_EQ(place(syn(2)), kNoFlow);
  const auto answer = sent(kFront);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(read(answer[0])->flags & 0x12, 0x12) << "the responder takes the SYN";
  EXPECT_EQ(flows_.size(), 0u);
}

TEST_F(NewFlowsTest, NobodyCanSendFromWhereNobodyIs) {
  for (const char* source : {"0.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.25"})
    EXPECT_EQ(place(syn(0).from(endpoint(source, 1000))), kNoFlow) << source;
  EXPECT_EQ(counter(Counter::kDropBadSource), 5u);
  EXPECT_EQ(place(syn(0).from(endpoint("198.51.100.7", 0))), kNoFlow);
  EXPECT_EQ(counter(Counter::kDropPortZero), 1u);
}

TEST_F(NewFlowsTest, OfNoServiceIsLeftToTheKernel) {
  EXPECT_EQ(place(syn(0).to(endpoint("192.0.2.25", 26))), kNoFlow);
  EXPECT_EQ(counter(Counter::kDropStrangers), 1u) << "as there is no ring to it here";
  EXPECT_EQ(flows_.size(), 0u);
}

TEST_F(NewFlowsTest, WhenTheTableIsFullConnectionsAreCarriedWithoutAnEntry) {
  uint16_t n = 0;
  while (flows_.available() != 0) {
    const FlowIndex index = begin_flow(*lifecycle_, n++);
    ASSERT_NE(index, kNoFlow);
    lifecycle_->set_state(flows_[index], TcpState::kEstablished);
  }
  const size_t full = flows_.size();
  EXPECT_EQ(place(syn(10'000)), kNoFlow);
  EXPECT_EQ(sent(kBack).size(), 1u) << "it goes on all the same";
  EXPECT_EQ(flows_.size(), full);
  EXPECT_EQ(counter(Counter::kFlowsStateless), 1u);
}

class BeforeTheSnapshotTest : public NewFlowsTest {
 protected:
  BeforeTheSnapshotTest() { has_snapshot_ = false; }
};

TEST_F(BeforeTheSnapshotTest, EverythingWaits) {
  EXPECT_EQ(place(syn(0)), kNoFlow);
  EXPECT_EQ(place(in_mid_stream(1)), kNoFlow);
  EXPECT_EQ(counter(Counter::kDropNotReady), 2u);
  EXPECT_TRUE(sent(kFront).empty()) << "nobody is refused meanwhile";
}

}  // namespace
}  // namespace sluice::testing
