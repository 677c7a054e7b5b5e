// SPDX-License-Identifier: Apache-2.0
//
// Sessions that nobody here has a flow of, where there is no room for one, or where no backend can be reached: they may
// be open, so none is reset.
#include <gtest/gtest.h>

#include "tests/dataplane/support/told_node.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Forwarding;

constexpr uint32_t kCapacity = 64;
const Endpoint kLocal{kPeersAddress, Be16::of(2000)};
const Endpoint kFillersVip = endpoint("192.0.2.29", 25);
const Endpoint kFillersBackend = endpoint("10.0.1.20", 2525);

/// A node of which every place is taken by established flows of a service beside.
struct FullNode : ToldNode {
  explicit FullNode(const channel::PutService& service = {}) : ToldNode(service, 64, 1, kEnds4, kCapacity) {
    put_sole_backend(3, kFillersBackend, 1);
    put_service(1, kFillersVip, {3});
    turn();
    for (uint16_t port = 1000; worker().flows().available() != 0 && port < 1000 + 2 * kCapacity; port++)
      EXPECT_TRUE(establish(filler(port), kFillersVip));
    EXPECT_EQ(worker().flows().available(), 0u);
    told();
  }
  static Endpoint filler(uint16_t port) { return endpoint("198.51.100.20", port); }

  /// A session of the service beside ends, and its flow stays for late segments.
  void close_one() {
    const Endpoint from = filler(1000);
    ASSERT_TRUE(client_to_backend(Frame().from(from).to(kFillersVip).seq(1001).ack(5001).fin()));
    ASSERT_TRUE(backend_to_client(Frame().from(kFillersBackend).to(from).seq(5001).ack(1002).fin()));
    ASSERT_TRUE(client_to_backend(Frame().from(from).to(kFillersVip).seq(1002).ack(5002)));
    ASSERT_EQ(worker().flows().available(), 0u);
  }
  void tell_fullnat() {
    ToldFlow flow = flow_with(other);
    flow.forwarding = Forwarding::kFullnat;
    flow.local = kLocal;
    tell(flow);
  }
  /// A client's packet that gets nowhere, and hears nothing.
  void expect_silence(const Frame& frame, Counter counter) {
    const uint64_t before = this->counter(counter);
    EXPECT_FALSE(client_to_backend(frame));
    EXPECT_TRUE(to_clients().empty()) << "no reset";
    EXPECT_EQ(this->counter(counter), before + 1);
  }
};

/// What comes through of a packet that its sender sends again a few times, and hears nothing meanwhile.
template <typename Send>
std::optional<ReadFrame> sent_again(FullNode& node, Send send) {
  for (int i = 0; i < 8; i++) {
    if (const auto through = send()) return through;
    EXPECT_TRUE(node.to_clients().empty() && node.to_backends().empty()) << "no reset";
    node.turn(1);
  }
  return std::nullopt;
}

constexpr channel::PutService kFullnat{.forwarding = Forwarding::kFullnat};

TEST(ToldFullTable, WhatIsClosedGivesWayToASessionThatAnotherNodeHasTold) {
  FullNode node(kFullnat);
  node.close_one();
  node.tell_fullnat();
  node.expect_silence(from_client(), Counter::kDropTableFull);
  const auto again = sent_again(node, [&] { return node.client_to_backend(from_client()); });
  ASSERT_TRUE(again);
  EXPECT_EQ(again->destination, kBackends[node.other]);
  EXPECT_EQ(again->source, kLocal);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  node.expect_counter_law();
}

TEST(ToldFullTable, SoItDoesWhereTheServerSpeaksFirst) {
  FullNode node(kFullnat);
  node.close_one();
  node.tell_fullnat();
  const Frame word = Frame().from(kBackends[node.other]).to(kLocal).seq(900).ack(706).psh().payload("250 ok\r\n");
  EXPECT_FALSE(node.backend_to_client(word));
  const auto again = sent_again(node, [&] { return node.backend_to_client(word); });
  ASSERT_TRUE(again);
  EXPECT_EQ(again->destination, kClient);
}

TEST(ToldFullTable, WhereAllOthersAreOpenItIsDroppedAndNobodyIsReset) {
  FullNode node(kFullnat);
  node.tell_fullnat();
  for (int i = 0; i < 3; i++) node.expect_silence(from_client(), Counter::kDropTableFull);
  EXPECT_EQ(node.counter(Counter::kFlowsEstablishedNow) + node.counter(Counter::kFlowsEmbryonicNow), kCapacity);
  node.expect_counter_law();
}

TEST(ToldFullTable, WithNatItPassesWithoutAnEntryToItsOwnServer) {
  FullNode node;
  node.tell(node.other);
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.other]);
  EXPECT_EQ(node.counter(Counter::kFlowsStateless), 1u);
  node.put_backend(node.other, kBackends[node.other], 0);
  node.turn();
  node.expect_silence(from_client(), Counter::kDropBackendUnreachable);
  node.expect_counter_law();
}

TEST(ToldFullTable, WhatNeedsOtherNumbersDoesNotPassWithoutAnEntry) {
  FullNode node;
  node.tell(node.other, FlowStage::kOpen, 50);
  node.expect_silence(from_client(), Counter::kDropTableFull);
}

TEST(ToldFullTable, WhatMayYetBeToldIsWaitedFor) {
  FullNode node(kFullnat);
  node.table.expect_more_until(UINT64_MAX);
  node.expect_silence(from_client(), Counter::kDropNoFlow);
  node.table.expect_more_until(0);
  EXPECT_FALSE(node.client_to_backend(from_client()));
  EXPECT_EQ(node.to_clients().size(), 1u) << "its endpoint at the server is known to nobody";
}

TEST(InMidSession, AFullTableIsNoReasonForAReset) {
  FullNode node;
  const Endpoint shared = endpoint("10.0.1.21", 2525);
  const Endpoint vip = endpoint("192.0.2.30", 25);
  node.put_backend(4, shared);
  node.put_service(2, vip, {4});
  node.turn();
  node.expect_silence(from_client().to(vip), Counter::kDropTableFull);
  node.close_one();
  const auto again = sent_again(node, [&] { return node.client_to_backend(from_client().to(vip)); });
  ASSERT_TRUE(again);
  EXPECT_EQ(again->destination, shared);
  EXPECT_EQ(node.counter(Counter::kFlowsAdopted), 1u);
  node.expect_counter_law();
}

/// Besides, a service whose sessions need a place: others lead to its server, too.
struct FullNodeWithShared : FullNode {
  FullNodeWithShared() {
    put_backend(4, endpoint("10.0.1.21", 2525));
    put_service(2, kSharedVip, {4});
    turn();
  }
  static Frame stranger() { return from_client().to(kSharedVip); }
  static inline const Endpoint kSharedVip = endpoint("192.0.2.30", 25);
};

TEST(InMidSession, NothingGivesWayToWhatCannotBeAdopted) {
  FullNodeWithShared node;
  node.close_one();
  const Frame packets[] = {FullNodeWithShared::stranger().rst(), FullNodeWithShared::stranger().syn()};
  for (const Frame& packet : packets) node.expect_silence(packet, Counter::kDropTableFull);
  node.put_sources({0, 0xffff'ffff});
  node.turn();
  node.expect_silence(FullNodeWithShared::stranger(), Counter::kDropTableFull);
  EXPECT_EQ(node.worker().flows().available(), 0u);
  EXPECT_EQ(node.counter(Counter::kFlowsRecycledClosing), 0u);
  node.expect_counter_law();
}

TEST(InMidSession, AYoungHandshakeGivesWayOnlyToWhatIsToldOf) {
  FullNodeWithShared node;
  node.close_one();
  node.turn(1);
  for (const uint16_t port : {2000, 2001}) {  // the first one is refused, and has made room for the next
    node.client_sends(Frame().from(FullNode::filler(port)).to(kFillersVip).syn().seq(1));
    node.turn();
  }
  ASSERT_EQ(node.worker().flows().available(), 0u);
  ASSERT_EQ(node.counter(Counter::kFlowsEmbryonicNow), 1u);
  (void)node.to_clients();
  (void)node.to_backends();
  const uint64_t before = node.counter(Counter::kFlowsRecycledEmbryonic);
  for (int i = 0; i < 3; i++) node.expect_silence(FullNodeWithShared::stranger(), Counter::kDropTableFull);
  EXPECT_EQ(node.counter(Counter::kFlowsRecycledEmbryonic), before);
  node.turn(TableRoom::kHandshakeMs);
  node.expect_silence(FullNodeWithShared::stranger(), Counter::kDropTableFull);
  EXPECT_EQ(node.counter(Counter::kFlowsRecycledEmbryonic), before + 1) << "its client is not there";
  EXPECT_TRUE(node.client_to_backend(FullNodeWithShared::stranger()));
  node.expect_counter_law();
}

TEST(InMidSession, WhatWaitsForAPlaceOrNeedsNoneUsesUpNoQuota) {
  FullNodeWithShared node;
  for (int i = 0; i < 20'001; i++) {
    node.client_sends(from_client());
    node.client_sends(FullNodeWithShared::stranger());
    node.turn();
    ASSERT_EQ(node.to_backends().size(), 1u);
  }
  EXPECT_TRUE(node.to_clients().empty());
  node.close_one();
  node.turn(1);
  for (int i = 0; i < 40; i++) {  // more than that time has earned
    ASSERT_TRUE(node.client_to_backend(from_client()));
  }
  node.expect_silence(FullNodeWithShared::stranger(), Counter::kDropTableFull);
  EXPECT_TRUE(node.client_to_backend(FullNodeWithShared::stranger()));
  EXPECT_EQ(node.counter(Counter::kDropAdoptQuota), 0u);
}

TEST(InMidSession, BackendsThatCannotBeReachedForAMomentAreNoReasonForAReset) {
  ToldNode node;
  for (uint16_t id = 0; id < 3; id++) node.put_backend(id, kBackends[id], 0);
  node.turn();
  EXPECT_FALSE(node.client_to_backend(from_client()));
  node.put_service(0, kVip, {});  // as control says when it has found that out
  node.turn();
  EXPECT_FALSE(node.client_to_backend(from_client()));
  EXPECT_TRUE(node.to_clients().empty());
  EXPECT_EQ(node.counter(Counter::kDropBackendUnreachable) + node.counter(Counter::kDropNoBackend), 2u);
  for (uint16_t id = 0; id < 3; id++) node.put_sole_backend(id, kBackends[id], 0);
  node.put_service(0, kVip, {0, 1, 2});
  node.turn();
  EXPECT_TRUE(node.client_to_backend(from_client())) << "it goes on";
  node.expect_counter_law();
}

TEST(InMidSession, WhereAllBackendsAreDownItIsReset) {
  ToldNode node;
  for (uint16_t id = 0; id < 3; id++)
    node.put_backend(id, kBackends[id], channel::kBackendReachable | channel::kBackendDown);
  node.turn();
  EXPECT_FALSE(node.client_to_backend(from_client()));
  const auto told = node.to_clients();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].flags & kTcpRst, kTcpRst);
  EXPECT_EQ(node.counter(Counter::kDropNoBackend), 1u);
  node.expect_counter_law();
}

TEST(InMidSession, AServerThatIsDownKeepsThoseThatAreToldWhereTheServiceSaysSo) {
  ToldNode node;
  node.put_service(0, kVip, {0, 1, 2}, channel::OnBackendDown::kKeep);
  node.tell(node.other);
  node.put_backend(node.other, kBackends[node.other], channel::kBackendReachable | channel::kBackendDown);
  node.turn();
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.other]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  node.put_backend(node.other, kBackends[node.other], channel::kBackendReachable | channel::kBackendCut);
  node.turn();
  EXPECT_EQ(node.to_clients().size(), 1u) << "it is cut whatever the service says";
  node.expect_counter_law();
}

TEST(InMidSession, WhereAllBackendsAreDownItGoesOnIfTheServiceSaysSo) {
  ToldNode node;
  node.put_service(0, kVip, {0, 1, 2}, channel::OnBackendDown::kKeep);
  for (uint16_t id = 0; id < 3; id++)
    node.put_backend(id, kBackends[id], channel::kBackendReachable | channel::kBackendDown);
  node.turn();
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.by_hash]);
  EXPECT_FALSE(node.client_to_backend(Frame().from(endpoint("198.51.100.9", 45000)).to(kVip).syn())) << "a new one";
  node.expect_counter_law();
}

TEST(InMidSession, ThatNoBackendIsKnownIsNoReasonForAReset) {
  ToldNode node;
  node.put_service(2, endpoint("192.0.2.30", 25), {});  // its pool is yet to be discovered
  for (uint16_t id = 0; id < 3; id++) node.put_sole_backend(id, kBackends[id], 0);
  node.turn();
  EXPECT_FALSE(node.client_to_backend(from_client().to(endpoint("192.0.2.30", 25))));
  EXPECT_TRUE(node.to_clients().empty());
  EXPECT_EQ(node.counter(Counter::kDropNoBackend), 1u);
  node.expect_counter_law();
}

TEST(InMidSession, WhereOneOutsideTheTableMayBeItsOwnItIsNotReset) {
  ToldNode node;
  constexpr uint8_t kDown = channel::kBackendReachable | channel::kBackendDown;
  for (uint16_t id = 0; id < 3; id++) node.put_backend(id, kBackends[id], kDown);
  const Endpoint leaving = endpoint("10.0.1.30", 2525);
  const auto is_reset = [&] {
    node.turn();
    EXPECT_FALSE(node.client_to_backend(from_client()));
    return !node.to_clients().empty();
  };
  node.put_backend(5, leaving);
  EXPECT_FALSE(is_reset()) << "it drains, and may be of several services";
  node.put_sole_backend(5, leaving, 0);
  EXPECT_FALSE(is_reset()) << "of this one";
  node.put_backend(5, leaving, 0);
  EXPECT_FALSE(is_reset()) << "not reached for a moment";
  EXPECT_EQ(node.counter(Counter::kDropNoBackend), 3u);
  node.put_sole_backend(5, leaving, 1);
  EXPECT_TRUE(is_reset()) << "of another one";
  node.put_backend(5, leaving, kDown);
  EXPECT_TRUE(is_reset());
  node.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
