// SPDX-License-Identifier: Apache-2.0
//
// Flows of other nodes that need more than a backend to go on: fullnat's endpoint towards it, and numbers that differ
// on both sides.
#include <gtest/gtest.h>

#include "dataplane/flow/tcp_track.h"
#include "tests/dataplane/support/told_node.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Endpoint kLocal{kPeersAddress, Be16::of(2000)};

/// A node whose service is of fullnat.
struct FullnatNode : ToldNode {
  explicit FullnatNode(uint64_t flows = 64, uint32_t workers = 1)
      : ToldNode({.forwarding = channel::Forwarding::kFullnat}, flows, workers) {}

  void tell_from(const Endpoint& local, FlowStage stage = FlowStage::kOpen, const Endpoint& client = kClient) {
    ToldFlow flow = flow_with(other);
    flow.client = client;
    flow.forwarding = channel::Forwarding::kFullnat;
    flow.local = local;
    flow.stage = stage;
    tell(flow);
  }
  Frame reply(const Endpoint& local = kLocal) const {
    return Frame().from(kBackends[other]).to(local).seq(900).ack(706).psh().payload("250 ok\r\n");
  }
};

TEST(ToldFullnat, AClientsPacketGoesOnFromItsNodesEndpoint) {
  FullnatNode node;
  node.tell_from(kLocal);
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->source, kLocal);
  EXPECT_EQ(sent->destination, kBackends[node.other]);
  const auto answer = node.backend_to_client(node.reply());  // the address is here now
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  EXPECT_EQ(answer->destination, kClient);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  node.expect_counter_law();
}

TEST(ToldFullnat, AServerThatCannotBeReachedForAMomentIsWaitedFor) {
  FullnatNode node;
  node.tell_from(kLocal);
  node.put_backend(node.other, kBackends[node.other], 0);
  node.turn();
  EXPECT_FALSE(node.client_to_backend(from_client()));
  EXPECT_TRUE(node.to_clients().empty()) << "no reset";
  EXPECT_EQ(node.counter(Counter::kDropBackendUnreachable), 1u);
  node.put_backend(node.other, kBackends[node.other]);
  node.turn();
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->source, kLocal);
  EXPECT_EQ(sent->destination, kBackends[node.other]);
  node.expect_counter_law();
}

TEST(ToldFullnat, AReplyFindsItsClientWhoeverSpeaksFirst) {
  FullnatNode node;
  node.tell_from(kLocal);
  const auto answer = node.backend_to_client(node.reply());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  EXPECT_EQ(answer->destination, kClient);
  EXPECT_EQ(node.told().size(), 2u) << "it goes on here, and is established";
  const auto sent = node.client_to_backend(from_client().seq(706).ack(908));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->source, kLocal);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
}

TEST(ToldFullnat, AnEndpointThatIsNoNodesIsNotSpokenFrom) {
  for (const Endpoint& local : {endpoint("10.0.1.77", 2000), endpoint("10.0.1.2", 40000), endpoint("fd00::2", 2000)}) {
    FullnatNode node;
    node.tell_from(local);
    const auto sent = node.client_to_backend(from_client());
    EXPECT_FALSE(sent);
    EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
  }
}

TEST(ToldFullnat, TwoClientsAreNotMixedAtOneEndpoint) {
  FullnatNode node;
  node.tell_from(kLocal);
  ASSERT_TRUE(node.client_to_backend(from_client()));
  const Endpoint second = endpoint("198.51.100.8", 40000);
  node.tell_from(kLocal, FlowStage::kOpen, second);
  EXPECT_FALSE(node.client_to_backend(from_client().from(second)));
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
}

TEST(ToldFullnat, NoNewFlowBeginsFromAPeersAddress) {
  FullnatNode node;
  for (uint16_t port = 1; port <= 100; port++) {
    const auto syn = node.client_to_backend(Frame().from(endpoint("198.51.100.8", port)).to(kVip).syn().seq(1));
    ASSERT_TRUE(syn);
    EXPECT_EQ(syn->source.address, kOurAddress);
  }
}

TEST(ToldFullnat, AnEndpointOfOursThatAFlowHasAtAnotherNodeIsNotTaken) {
  FullnatNode node(1 << 20);
  const auto is_even = [](uint32_t port) { return port % 2 == 0; };
  for (uint32_t port = channel::kFirstLocalPort; port <= channel::kLastLocalPort; port++) {
    if (!is_even(port)) continue;
    ToldFlow flow = ToldNode::flow_with(0);
    flow.forwarding = channel::Forwarding::kFullnat;
    for (uint8_t i = 0; i < 3; i++) {
      flow.client = endpoint("198.51.100.6" + std::to_string(i), static_cast<uint16_t>(port));
      flow.backend = kBackends[i];
      flow.local = {kOurAddress, Be16::of(static_cast<uint16_t>(port))};
      node.tell(flow);
    }
  }
  for (uint16_t port = 1; port <= 50; port++) {
    const auto syn = node.client_to_backend(Frame().from(endpoint("198.51.100.8", port)).to(kVip).syn().seq(1));
    ASSERT_TRUE(syn);
    EXPECT_FALSE(is_even(syn->source.port.host())) << "the backend would end the other's session";
  }
}

TEST(ToldFullnat, AReplyOfWhichNobodyHasToldDoesNotReachTheKernel) {
  for (const Address& address : {kOurAddress, kPeersAddress}) {
    FullnatNode node;
    node.backend_sends(node.reply({address, Be16::of(2000)}));
    node.turn();
    EXPECT_TRUE(node.punted().empty()) << "it would answer with a reset, and the session may be open";
    EXPECT_EQ(node.counter(Counter::kDropNoFlow), 1u);
    node.expect_counter_law();
  }
}

TEST(ToldFullnat, RepliesToChecksReachTheKernelFromWhateverPortItChecks) {
  FullnatNode node;
  const auto reaches_kernel = [&](const Frame& reply) {
    node.backend_sends(reply);
    node.turn();
    node.turn(HeldReplies::kHoldMs);
    return node.punted().size() == 1;
  };
  for (const uint16_t port : {uint16_t{2000}, uint16_t{40000}}) {
    const Endpoint ours{kOurAddress, Be16::of(port)};
    const Frame answer = Frame().from(kBackends[0]).to(ours);
    EXPECT_TRUE(reaches_kernel(Frame(answer).rst().ack(701))) << "a refusal";
    EXPECT_TRUE(reaches_kernel(Frame(answer).syn().seq(900).ack(701)));
    EXPECT_TRUE(reaches_kernel(Frame(answer).seq(901).ack(701).psh().payload("220 hi\r\n")));
  }
  EXPECT_EQ(node.drops(), 0u);
}

/// Two workers, and a session whose replies are to a port of the one or the other: one of these is not the worker that
/// has the client's packets.
class ToldToTwoWorkers : public ::testing::TestWithParam<uint16_t> {
 protected:
  FullnatNode node_{64, 2};
  const Endpoint local_{kPeersAddress, Be16::of(GetParam())};

  void expect_client_goes_on() {
    const auto sent = node_.client_to_backend(from_client());
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->source, local_);
    EXPECT_EQ(sent->destination, kBackends[node_.other]);
  }
  void expect_server_goes_on() {
    const auto answer = node_.backend_to_client(node_.reply(local_));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->source, kVip);
    EXPECT_EQ(answer->destination, kClient);
  }
  /// Both sides end the session, after these. Returns its records.
  std::vector<channel::SessionRecord> end() {
    EXPECT_TRUE(node_.client_to_backend(Frame().from(kClient).to(kVip).seq(706).ack(908).fin()));
    EXPECT_TRUE(node_.backend_to_client(Frame().from(kBackends[node_.other]).to(local_).seq(908).ack(707).fin()));
    EXPECT_TRUE(node_.client_to_backend(Frame().from(kClient).to(kVip).seq(707).ack(909)));
    std::vector<channel::SessionRecord> out;
    for (uint32_t worker = 0; worker < node_.workers(); worker++) {
      for (const channel::SessionRecord& record : node_.sessions(worker)) out.push_back(record);
    }
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(EachWorkersPort, ToldToTwoWorkers, ::testing::Values(uint16_t{2000}, uint16_t{2001}));

TEST_P(ToldToTwoWorkers, ASessionIsOneFlowIfItsClientSpeaksFirst) {
  node_.tell_from(local_);
  expect_client_goes_on();
  expect_server_goes_on();
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 1u);
  node_.expect_counter_law();
}

TEST_P(ToldToTwoWorkers, ASessionIsOneFlowIfItsServerSpeaksFirst) {
  node_.tell_from(local_);
  expect_server_goes_on();
  expect_client_goes_on();
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 1u);
  node_.expect_counter_law();
}

TEST_P(ToldToTwoWorkers, ASessionsEndIsSeenAndLeavesOneRecord) {
  node_.tell_from(local_);
  expect_client_goes_on();
  expect_server_goes_on();
  const auto records = end();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].end, channel::SessionEnd::kClosed);
}

TEST(ToldFullnat, AFlowInItsHandshakeGoesOnToo) {
  FullnatNode node;
  node.tell_from(kLocal, FlowStage::kPlaced);
  const auto answer = node.backend_to_client(Frame().from(kBackends[node.other]).to(kLocal).syn().seq(900).ack(701));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  EXPECT_EQ(answer->destination, kClient);
}

TEST(ToldFullnat, AClientOfWhoseSessionNobodyHasToldYetIsNotAnswered) {
  FullnatNode node;
  const uint64_t until_ms = node.now_ms() + 70'000;
  node.table.expect_more_until(until_ms);
  EXPECT_FALSE(node.client_to_backend(from_client()));
  EXPECT_TRUE(node.to_clients().empty()) << "a reset would end the session";
  EXPECT_EQ(node.counter(Counter::kDropNoFlow), 1u);
  node.tell_from(kLocal);
  const auto again = node.client_to_backend(from_client());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->source, kLocal);
  EXPECT_EQ(again->destination, kBackends[node.other]);

  const Endpoint unknown = endpoint("198.51.100.8", 40000);
  node.turn(until_ms - 1 - node.now_ms());
  EXPECT_FALSE(node.client_to_backend(from_client().from(unknown)));
  EXPECT_TRUE(node.to_clients().empty());
  node.turn(1);
  node.client_sends(from_client().from(unknown));
  node.turn();
  const auto answers = node.to_clients();
  ASSERT_EQ(answers.size(), 1u) << "as nobody knows of it, it is told";
  EXPECT_NE(answers[0].flags & kTcpRst, 0);
  node.expect_counter_law();
}

TEST(ToldFullnat, AClientWhoseServerIsDownIsToldSoWhileOtherWordsAreToCome) {
  FullnatNode node;
  node.table.expect_more_until(node.now_ms() + 70'000);
  node.tell_from(kLocal);
  node.put_backend(node.other, kBackends[node.other], channel::kBackendDown);
  node.client_sends(from_client());
  node.turn();
  const auto answers = node.to_clients();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_NE(answers[0].flags & kTcpRst, 0);
}

TEST(ToldWords, AreAwaitedWhereTheHashSaysNothing) {
  using channel::Forwarding;
  using channel::Scheduler;
  for (const Forwarding forwarding : {Forwarding::kNat, Forwarding::kDsr}) {
    for (const Scheduler scheduler : {Scheduler::kMaglev, Scheduler::kSource, Scheduler::kWrr, Scheduler::kLeastConn}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(forwarding)) + " " + std::to_string(static_cast<int>(scheduler)));
      channel::PutService service{};
      service.forwarding = forwarding;
      service.scheduler = scheduler;
      ToldNode node(service);
      const bool by_load = scheduler == Scheduler::kWrr || scheduler == Scheduler::kLeastConn;
      node.table.expect_more_until(node.now_ms() + 1000);
      EXPECT_EQ(node.client_to_backend(from_client()).has_value(), !by_load);
      EXPECT_EQ(node.counter(Counter::kDropNoFlow), by_load ? 1u : 0u);
      EXPECT_TRUE(node.client_to_backend(Frame().from(endpoint("198.51.100.8", 1)).to(kVip).syn().seq(1)))
          << "who begins waits for nothing";
      node.turn(1000);
      EXPECT_TRUE(node.client_to_backend(from_client())) << "by the hash";
      EXPECT_TRUE(node.to_clients().empty());
      node.expect_counter_law();
    }
  }
}

/// The flow of kClient as a node tells it that has answered the SYN itself.
ToldFlow spliced(const ToldNode& node) {
  ToldFlow out = ToldNode::flow_with(node.other);
  out.splice =
      ToldSplice{.sequence = 5000, .timestamp = 70000, .client_scale = 7, .server_scale = 9, .timestamps = true};
  return out;
}

TEST(ToldSplice, BothHalvesGoOnWithTheirOwnNumbers) {
  ToldNode node;
  node.tell(spliced(node));
  const auto sent = node.client_to_backend(from_client().window(100));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.other]);
  EXPECT_EQ(sent->seq, 700u);
  EXPECT_EQ(sent->ack, 900u - 5000u);
  const auto answer = node.backend_to_client(from_backend(node.other).seq(900 - 5000).window(10));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->seq, 900u);
  EXPECT_EQ(answer->ack, 706u);
  EXPECT_EQ(answer->window, 10u << (9 - 7)) << "the client knows no other scale than ours";
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), 0u);
  node.expect_counter_law();
}

TEST(ToldSplice, ABackendsWordMayComeFirst) {
  ToldNode node;
  node.tell(spliced(node));
  const auto answer = node.backend_to_client(from_backend(node.other).seq(900 - 5000));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->seq, 900u);
  const auto sent = node.client_to_backend(from_client().seq(706).ack(908));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->ack, 908u - 5000u);
  EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), 0u);
}

constexpr uint8_t kHeaderBytes = 28;  // PROXY v2 with IPv4

ToldNode with_headers(channel::Forwarding forwarding) {
  channel::PutService service{};
  service.forwarding = forwarding;
  service.proxy = channel::ProxyHeader::kV2;
  return ToldNode(service);
}

TEST(ToldProxy, AHalfClosedSessionGivesWayToTheGreetingOfTheNextWhoseAnswerWentByAnotherNode) {
  ToldNode node = with_headers(channel::Forwarding::kNat);
  node.tell(node.by_hash, FlowStage::kOpen, kHeaderBytes);
  const Frame last = from_backend(node.by_hash).ack(706 + kHeaderBytes);
  ASSERT_TRUE(node.backend_to_client(last));
  ASSERT_TRUE(node.backend_to_client(Frame(last).seq(908).fin()));
  node.tell(node.other, FlowStage::kOpen, kHeaderBytes);
  const Frame greeting =
      Frame().from(kBackends[node.other]).to(kClient).seq(5001).ack(9001 + kHeaderBytes).psh().payload("220 mx\r\n");
  EXPECT_FALSE(node.backend_to_client(greeting)) << "it may still be closing";
  node.turn(kHalfClosedQuietMs);
  const auto passed = node.backend_to_client(greeting);
  ASSERT_TRUE(passed);
  EXPECT_EQ(passed->source, kVip);
  EXPECT_EQ(passed->ack, 9001u);
  node.expect_counter_law();
}

TEST(ToldProxy, OnlyWithNatAClientMayAcknowledgeWhatItsServerHasSaidElsewhere) {
  for (const auto forwarding : {channel::Forwarding::kNat, channel::Forwarding::kFullnat}) {
    ToldNode node = with_headers(forwarding);
    const auto syn = node.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(700));
    ASSERT_TRUE(syn);
    ASSERT_TRUE(node.backend_to_client(Frame().from(syn->destination).to(syn->source).syn().seq(900).ack(701)));
    node.client_sends(Frame().from(kClient).to(kVip).seq(701).ack(901));
    node.turn();
    EXPECT_EQ(node.to_backends().size(), 2u) << "the header, too";
    EXPECT_TRUE(node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(909)));
    const bool believed = forwarding == channel::Forwarding::kNat;
    EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), believed ? 0u : 1u);
  }
}

}  // namespace
}  // namespace sluice::testing
