// SPDX-License-Identifier: Apache-2.0
//
// What a worker does with packets whose flow another node has told of, and what it tells itself.
#include <gtest/gtest.h>

#include "tests/dataplane/support/told_node.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using Node = ToldNode;

TEST(ToldFlows, AClientsPacketGoesToTheBackendThatItsNodeHasTold) {
  Node node;
  node.tell(node.other);
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.other]);
  const auto answer = node.backend_to_client(from_backend(node.other));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  node.expect_counter_law();
}

TEST(ToldFlows, ItsRecordSaysThatItWasTakenOverFromAPeer) {
  for (const bool server_speaks_first : {false, true}) {
    Node node;
    node.tell(node.other);
    if (server_speaks_first) {
      ASSERT_TRUE(node.backend_to_client(from_backend(node.other)));
    }
    ASSERT_TRUE(node.client_to_backend(from_client()));
    ASSERT_TRUE(node.backend_to_client(from_backend(node.other)));
    ASSERT_TRUE(node.backend_to_client(Frame().from(kBackends[node.other]).to(kClient).seq(908).ack(706).rst()));
    const auto records = node.sessions();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].notes.placed_by(), static_cast<uint8_t>(channel::PlacedBy::kPeer)) << server_speaks_first;
    EXPECT_NE(records[0].notes.flags & channel::kSessionAdopted, 0u);
  }
}

TEST(ToldFlows, WithoutAWordItGoesByTheHash) {
  Node node;
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.by_hash]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
}

TEST(ToldFlows, ABackendThatIsNotHereOrAnotherModeIsNotBelieved) {
  Node node;
  node.tell(node.other, FlowStage::kOpen, 0, channel::Forwarding::kDsr);
  EXPECT_EQ(node.client_to_backend(from_client())->destination, kBackends[node.by_hash]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
}

TEST(ToldFlows, AServerThatCannotBeReachedForAMomentIsWaitedFor) {
  Node node;
  node.tell(node.other);
  node.put_backend(node.other, kBackends[node.other], 0);
  node.turn();
  EXPECT_FALSE(node.client_to_backend(from_client())) << "another would reset it";
  EXPECT_TRUE(node.to_clients().empty());
  EXPECT_EQ(node.counter(Counter::kDropBackendUnreachable), 1u);
  const auto word = node.backend_to_client(from_backend(node.other).ack(700));
  ASSERT_TRUE(word) << "its way to us is not ours to it";
  EXPECT_EQ(word->source, kVip);
  EXPECT_EQ(word->destination_mac, mac(0xc1));
  node.put_backend(node.other, kBackends[node.other]);
  node.turn();
  const auto again = node.client_to_backend(from_client());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->destination, kBackends[node.other]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), 0u);
  node.expect_counter_law();
}

TEST(ToldFlows, AServerThatIsDownIsNotWaitedFor) {
  for (const uint8_t down : {channel::kBackendDown, channel::kBackendCut}) {
    Node node;
    node.tell(node.other);
    node.put_backend(node.other, kBackends[node.other], down);
    node.turn();
    const auto sent = node.client_to_backend(from_client());
    ASSERT_TRUE(sent);
    EXPECT_EQ(sent->destination, kBackends[node.by_hash]);
    EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
  }
}

TEST(ToldFlows, AFlowOfOurOwnIsNotReplaced) {
  Node node;
  ASSERT_TRUE(node.client_to_backend(from_client()));
  node.tell(node.other);
  EXPECT_EQ(node.client_to_backend(from_client().seq(706))->destination, kBackends[node.by_hash]);
}

TEST(ToldFlows, ASynBeginsAnew) {
  Node node;
  node.tell(node.other);
  EXPECT_TRUE(node.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1)));
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
}

TEST(ToldFlows, AServersWordIsTranslatedWhoeverSpeaksFirst) {
  Node node;
  node.tell(node.other);
  const auto answer = node.backend_to_client(from_backend(node.other));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  EXPECT_EQ(node.client_to_backend(from_client().seq(706).ack(908))->destination, kBackends[node.other]);
}

TEST(ToldFlows, AProxyOffsetIsKept) {
  channel::PutService service{};
  service.proxy = channel::ProxyHeader::kV1;
  Node node(service);
  node.tell(node.other, FlowStage::kOpen, 50);
  const auto sent = node.client_to_backend(from_client());
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->seq, 750u);
  const auto answer = node.backend_to_client(from_backend(node.other).ack(756));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ack, 706u);
}

TEST(ToldFlows, TheAnswerToASynOfAnotherNodeIsTranslatedAndToldOf) {
  Node node;
  node.tell(node.other, FlowStage::kPlaced);
  const auto answer = node.backend_to_client(Frame().from(kBackends[node.other]).to(kClient).syn().seq(900).ack(701));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  EXPECT_EQ(answer->flags & (kTcpSyn | kTcpAck), kTcpSyn | kTcpAck);
  EXPECT_EQ(node.told().size(), 1u);
  const auto greeting = node.backend_to_client(
      Frame().from(kBackends[node.other]).to(kClient).seq(901).ack(701).psh().payload("220 hi\r\n"));
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->source, kVip);
  node.expect_counter_law();
}

TEST(ToldFlows, AnAnswerThatIsSoonerThanTheWordWaitsForIt) {
  Node node;
  const Frame answer = Frame().from(kBackends[node.other]).to(kClient).syn().seq(900).ack(701);
  node.backend_sends(answer);
  node.turn();
  EXPECT_TRUE(node.to_clients().empty());
  EXPECT_EQ(node.counter(Counter::kRepliesHeld), 1u);
  node.tell(node.other, FlowStage::kPlaced);
  node.turn(HeldReplies::kHoldMs);
  const auto sent = node.to_clients();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].source, kVip);
  node.expect_counter_law();
}

TEST(ToldFlows, AnAnswerOfWhichNobodyTellsWaitsOnceAndNoMoreThanSoManyWait) {
  Node node;
  const Frame answer = Frame().from(kBackends[node.other]).to(kClient).syn().seq(900).ack(701);
  node.backend_sends(answer);
  node.turn();
  EXPECT_TRUE(node.punted().empty());
  node.turn(HeldReplies::kHoldMs);
  EXPECT_EQ(node.punted().size(), 1u) << "as without other nodes";
  for (uint16_t port = 0; port < kMostHeldReplies + 40; port++) {
    node.backend_sends(Frame()
                           .from(kBackends[node.other])
                           .to(endpoint("198.51.100.8", static_cast<uint16_t>(1000 + port)))
                           .syn()
                           .seq(900)
                           .ack(701));
    if (port % 32 == 31) node.turn();
  }
  node.turn();
  EXPECT_EQ(node.counter(Counter::kRepliesHeld), 1 + kMostHeldReplies);
  for (int i = 0; i < 10; i++) node.turn(HeldReplies::kHoldMs);
  EXPECT_EQ(node.counter(Counter::kRepliesHeld), 1 + kMostHeldReplies);
  node.expect_counter_law();
}

TEST(ToldFlows, AClientWhoseServerAnswersByAnotherNodeIsNotForgotten) {
  Node node;
  const auto syn = node.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(700));
  ASSERT_TRUE(syn);
  for (uint16_t id = 0; id < 3; id++) {
    if (kBackends[id] == syn->destination) node.tell(id);  // by the node that has the answer
  }
  ASSERT_TRUE(node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901)));
  node.turn(120'000);
  for (int i = 0; i < 300; i++) node.turn(100);
  node.told();
  ASSERT_TRUE(node.client_to_backend(from_client().seq(701)));
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u) << "the flow is still there";
  EXPECT_EQ(node.counter(Counter::kFlowsAdopted), 0u);
}

/// A node to which a client's SYN has come again by another way, and which has placed it with `own`; another node had
/// placed it with `of_other` before.
struct NodeOfSecondSyn : Node {
  NodeOfSecondSyn() {
    const auto syn = client_to_backend(Frame().from(kClient).to(kVip).syn().seq(700));
    for (uint16_t id = 0; id < 3; id++) {
      if (syn && kBackends[id] == syn->destination) own = id;
    }
    of_other = own == 0 ? 1 : 0;
  }

  uint16_t own = 0;
  uint16_t of_other = 0;
};

TEST(ToldFlows, OfTwoServersThatWereAskedForOneClientTheFirstThatAnswersHasIt) {
  NodeOfSecondSyn node;
  node.tell(node.of_other, FlowStage::kPlaced);
  const auto answer =
      node.backend_to_client(Frame().from(kBackends[node.of_other]).to(kClient).syn().seq(900).ack(701));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kVip);
  const auto ack = node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->destination, kBackends[node.of_other]);
  EXPECT_FALSE(node.backend_to_client(Frame().from(kBackends[node.own]).to(kClient).syn().seq(50).ack(701)));
  node.turn(HeldReplies::kHoldMs);
  EXPECT_TRUE(node.to_clients().empty());
  node.expect_counter_law();
}

TEST(ToldFlows, OnlyAnAnswerToTheClientsSynTakesItFromTheServerThatWasAskedHere) {
  struct Case {
    const char* description;
    FlowStage stage;
    Frame says;
  };
  const Frame other = Frame().to(kClient);
  const Case cases[]{{"a refusal", FlowStage::kPlaced, Frame(other).rst().seq(0).ack(701)},
                     {"of an earlier SYN", FlowStage::kPlaced, Frame(other).syn().seq(900).ack(601)},
                     {"a FIN of an earlier connection", FlowStage::kOpen, Frame(other).fin().seq(900).ack(640)},
                     {"a sign of its life", FlowStage::kOpen, Frame(other).seq(899).ack(640)},
                     {"before it is said to be open", FlowStage::kPlaced, Frame(other).seq(901).ack(701)}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    NodeOfSecondSyn node;
    node.tell(node.of_other, c.stage);
    EXPECT_FALSE(node.backend_to_client(Frame(c.says).from(kBackends[node.of_other])));
    EXPECT_EQ(node.counter(Counter::kDropNoFlow), 1u);
    const auto answer = node.backend_to_client(Frame().from(kBackends[node.own]).to(kClient).syn().seq(50).ack(701));
    ASSERT_TRUE(answer) << "its flow is still there";
    EXPECT_EQ(answer->source, kVip);
    EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
    node.expect_counter_law();
  }
}

TEST(ToldFlows, TheGreetingOfAServerWhoseAnswerWentByAnotherNodeAnswersTheSynToo) {
  NodeOfSecondSyn node;
  node.tell(node.of_other);
  const auto greeting = node.backend_to_client(
      Frame().from(kBackends[node.of_other]).to(kClient).seq(901).ack(701).psh().payload("220 hi\r\n"));
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->source, kVip);
}

TEST(ToldFlows, AFlowIsKeptWhereTheServerThatIsSaidToHaveAnsweredCannotBeUsed) {
  NodeOfSecondSyn node;
  node.tell(node.of_other);
  node.put_backend(node.of_other, kBackends[node.of_other], channel::kBackendReachable | channel::kBackendDown);
  node.turn();
  const auto ack = node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->destination, kBackends[node.own]);
  EXPECT_EQ(node.counter(Counter::kFlowsAdopted), 0u) << "it is the same flow";
}

TEST(ToldFlows, AClientThatAServerHasAnsweredElsewhereWaitsForItWhereItCannotBeReached) {
  NodeOfSecondSyn node;
  node.tell(node.of_other);
  node.put_backend(node.of_other, kBackends[node.of_other], 0);
  node.turn();
  const Frame ack = Frame().from(kClient).to(kVip).seq(701).ack(901);
  EXPECT_FALSE(node.client_to_backend(ack)) << "the server that was asked here would reset it";
  EXPECT_EQ(node.counter(Counter::kDropBackendUnreachable), 1u);
  node.put_backend(node.of_other, kBackends[node.of_other]);
  node.turn();
  const auto sent = node.client_to_backend(ack);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kBackends[node.of_other]);
  node.expect_counter_law();
}

TEST(ToldFlows, AClientThatAnotherServerHasAnsweredElsewhereGoesToThatOne) {
  NodeOfSecondSyn node;
  node.tell(node.of_other);
  const auto ack = node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->destination, kBackends[node.of_other]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  node.expect_counter_law();
}

TEST(ToldFlows, AServersAnswerIsNotForgottenForAnotherThatNodesTellOf) {
  NodeOfSecondSyn node;
  ASSERT_TRUE(node.backend_to_client(Frame().from(kBackends[node.own]).to(kClient).syn().seq(900).ack(701)));
  node.tell(node.of_other, FlowStage::kPlaced);
  EXPECT_FALSE(node.backend_to_client(Frame().from(kBackends[node.of_other]).to(kClient).syn().seq(50).ack(701)));
  node.tell(node.of_other);
  const auto ack = node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901));
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->destination, kBackends[node.own]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
}

TEST(ToldFlows, TellsWhatBeginsIsEstablishedAndEnds) {
  Node node;
  const auto syn = node.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(700));
  ASSERT_TRUE(syn);
  EXPECT_EQ(node.told().size(), 1u);
  node.backend_to_client(Frame().from(syn->destination).to(kClient).syn().seq(900).ack(701));
  node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901));
  EXPECT_EQ(node.told().size(), 1u);
  node.client_to_backend(Frame().from(kClient).to(kVip).seq(701).ack(901).psh().payload("EHLO\r\n"));
  EXPECT_TRUE(node.told().empty());
  node.client_to_backend(Frame().from(kClient).to(kVip).rst().seq(707));
  EXPECT_EQ(node.told().size(), 1u);
}

TEST(ToldFlows, AStrangerEndsNoHalfOfASession) {
  Node node;
  node.tell(node.other);
  ASSERT_TRUE(node.client_to_backend(from_client()));
  node.told();
  const Frame forged = Frame().from(kClient).to(kVip);
  node.client_to_backend(Frame(forged).seq(0x7000'0000).ack(0x6000'0000));
  node.client_to_backend(Frame(forged).seq(0x7000'0000).rst());
  EXPECT_TRUE(node.told().empty()) << "nobody hears that it has ended";
  const auto next = node.client_to_backend(from_client());
  ASSERT_TRUE(next);
  EXPECT_EQ(next->destination, kBackends[node.other]);
  EXPECT_EQ(node.counter(Counter::kFlowsReset), 0u);
}

TEST(ToldFlows, AFullRingLosesTheWordAndCountsThat) {
  Node node;
  for (uint16_t port = 0; port < 100; port++) {
    node.client_sends(
        Frame().from(endpoint("198.51.100.8", static_cast<uint16_t>(1000 + port))).to(kVip).syn().seq(700));
    if (port % 32 == 31) node.turn();
  }
  node.turn();
  EXPECT_EQ(node.counter(Counter::kTellsLost), 100u - 63u);
}

/// A client has used its port again, by another node and with another server, whose answer comes here.
Frame next_answer(const Node& node) {
  return Frame().from(kBackends[node.other]).to(kClient).syn().seq(5000).ack(9001);
}

TEST(ToldFlows, AHalfClosedSessionGivesWayToTheClientsNextOne) {
  Node node;
  node.tell(node.by_hash);
  ASSERT_TRUE(node.backend_to_client(from_backend(node.by_hash)));
  ASSERT_TRUE(node.backend_to_client(from_backend(node.by_hash).seq(908).fin()));
  node.tell(node.other, FlowStage::kPlaced);
  EXPECT_FALSE(node.backend_to_client(next_answer(node))) << "it may still be closing";
  node.turn(kHalfClosedQuietMs);
  EXPECT_TRUE(node.backend_to_client(next_answer(node)));
}

TEST(ToldFlows, AClientsHalfGivesWayOnceTheNodeOfTheOtherHalfTellsOfTheNextSession) {
  Node node;
  node.tell(node.by_hash);
  ASSERT_TRUE(node.client_to_backend(from_client()));
  node.turn(kHalfClosedQuietMs);
  ToldFlow elsewhere = Node::flow_with(node.other);
  elsewhere.stage = FlowStage::kPlaced;
  node.table.put(elsewhere, 1, 1);
  EXPECT_FALSE(node.backend_to_client(next_answer(node))) << "a SYN at a third node";
  node.turn(HeldReplies::kHoldMs);
  node.tell(elsewhere);
  EXPECT_TRUE(node.backend_to_client(next_answer(node)));
}

}  // namespace
}  // namespace sluice::testing
