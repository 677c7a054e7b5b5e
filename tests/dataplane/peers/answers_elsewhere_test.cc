// SPDX-License-Identifier: Apache-2.0
//
// A SYN that one node answers, in a server's place, and the server's answer at another: two nodes with their exchange
// between them.
#include "dataplane/flow/tcp_track.h"
#include "tests/dataplane/support/elsewhere_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint8_t kSyn = kTcpSyn, kAck = kTcpAck, kRst = kTcpRst;

class AnswersElsewhere : public Elsewhere {
 protected:
  AnswersElsewhere() : Elsewhere({.syn_proxy = channel::SynProxy::kAlways}) {}

  /// Up to where the server has been asked, and the other node knows.
  void ask() { ask(asks_, hears_, kIsn); }
  void ask_only(Node& at, uint32_t isn) {
    at.bench.client_sends(from_client().syn().seq(isn).tcp_options({2, 4, 5, 0xb4, 1, 3, 3, 7}));
    at.bench.turn();
    const auto promised = at.bench.to_clients();
    ASSERT_EQ(promised.size(), 1U);
    promised_ = promised[0].seq;
    at.bench.client_sends(from_client().seq(isn + 1).ack(promised_ + 1));
    at.bench.turn();
    const auto syn = at.bench.to_backends();
    ASSERT_EQ(syn.size(), 1U);
    ASSERT_EQ(syn[0].flags, kSyn);
  }
  void ask(Node& at, Node& other, uint32_t isn) {
    ask_only(at, isn);
    wait_told_asked(at, other);
  }
  void expect_opened(const Came& came) const {
    ASSERT_EQ(came.to_backends.size(), 1U);
    EXPECT_EQ(came.to_backends[0].flags, kAck);
    EXPECT_EQ(came.to_backends[0].seq, kIsn + 1);
    EXPECT_EQ(came.to_backends[0].ack, kServerIsn + 1);
    ASSERT_EQ(came.to_clients.size(), 1U);
    EXPECT_EQ(came.to_clients[0].seq, promised_ + 1);
    EXPECT_EQ(came.to_clients[0].ack, kIsn + 1);
    EXPECT_GT(came.to_clients[0].window, 0);
  }
  /// The client closes, and falls silent.
  void leave(uint32_t ack) {
    asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(ack).fin());
    asks_.bench.turn(1);
    asks_.bench.turn(kHalfClosedQuietMs);
    asks_.bench.back().take();
  }
  /// A whole session, of which each node has a half that is left.
  void have_a_session() {
    ask();
    server_says(answer());
    expect_opened(after_exchange());
    wait_told_open();
    server_says(from_server().seq(kServerIsn + 1).ack(kIsn + 1).psh().payload("421 no\r\n"));
    server_says(from_server().seq(kServerIsn + 9).ack(kIsn + 1).fin());
    EXPECT_EQ(hears_.bench.front().take().size(), 2U);
    leave(promised_ + 10);
  }

  uint32_t promised_ = 0;
};

TEST_F(AnswersElsewhere, GoToTheNodeThatHasAskedAndEachHasOneHalfThen) {
  ask();
  server_says(answer());
  expect_nothing_at_hearing_node();
  EXPECT_EQ(hears_.bench.counter(Counter::kRepliesPassed), 1U);
  expect_opened(after_exchange());
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesTaken), 1U);
  wait_told_open();

  server_says(from_server().seq(kServerIsn + 1).ack(kIsn + 1).psh().payload("220 mx\r\n"));
  const auto greeting = hears_.bench.to_clients();
  ASSERT_EQ(greeting.size(), 1U);
  EXPECT_EQ(greeting[0].seq, promised_ + 1) << "in the numbers that the client was promised, at another node";
  EXPECT_EQ(greeting[0].source, kVip);

  asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(promised_ + 9).psh().payload("EHLO c\r\n"));
  asks_.bench.turn();
  const auto ehlo = asks_.bench.to_backends();
  ASSERT_EQ(ehlo.size(), 1U);
  EXPECT_EQ(ehlo[0].ack, kServerIsn + 9);
  EXPECT_EQ(asks_.bench.counter(Counter::kSegmentsNotBelieved), 0U)
      << "what the client acknowledges was said elsewhere";
}

TEST_F(AnswersElsewhere, WhatIsSaidSoonerThanTheWordOfTheOpenSessionWaitsForIt) {
  ask();
  server_says(answer());
  hears_.bench.backend_sends(from_server().seq(kServerIsn + 1).ack(kIsn + 1).psh().payload("220 mx\r\n"));
  hears_.bench.turn();
  expect_nothing_at_hearing_node();
  expect_opened(after_exchange());
  wait_told_open();
  hears_.bench.turn(HeldReplies::kHoldMs);
  const auto greeting = hears_.bench.to_clients();
  ASSERT_EQ(greeting.size(), 1U);
  EXPECT_EQ(greeting[0].seq, promised_ + 1);
}

TEST_F(AnswersElsewhere, AHalfThatIsLeftGivesWayWhereTheClientUsesItsPortAgainAtTheOtherNode) {
  ask();
  server_says(answer());
  expect_opened(after_exchange());
  ASSERT_EQ(asks_.bench.counter(Counter::kFlowsEstablishedNow), 1U) << "the client's half";
  wait_told_open();

  constexpr uint32_t kNextIsn = 900'000;
  ask(hears_, asks_, kNextIsn);
  asks_.bench.backend_sends(from_server().syn().seq(77'000).ack(kNextIsn + 1).tcp_options(kServerOptions));
  asks_.bench.turn();
  EXPECT_TRUE(asks_.bench.to_clients().empty() && asks_.bench.to_backends().empty());
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesPassed), 1U);
  EXPECT_EQ(asks_.bench.counter(Counter::kFlowsEstablishedNow), 0U);
  for (int i = 0; i < 20; i++) {
    asks_.exchange->turn(1);
    hears_.exchange->turn(1);
  }
  hears_.bench.turn();
  const auto acknowledged = hears_.bench.to_backends();
  ASSERT_EQ(acknowledged.size(), 1U);
  EXPECT_EQ(acknowledged[0].ack, 77'001U);
  EXPECT_EQ(hears_.bench.counter(Counter::kRepliesTaken), 1U);
}

TEST_F(AnswersElsewhere, AServersHalfGivesWayThoughTheNextAnswerIsSoonerThanTheWord) {
  have_a_session();

  constexpr uint32_t kNextIsn = 100'000'000;
  ask_only(asks_, kNextIsn);
  server_says(from_server().syn().seq(77'000).ack(kNextIsn + 1).tcp_options(kServerOptions));
  expect_nothing_at_hearing_node();
  turn_until(asks_, hears_, [&] { return hears_.table.from_client(client(7), kVip)->is_asked(); });
  hears_.bench.turn(HeldReplies::kHoldMs);
  expect_nothing_at_hearing_node();
  EXPECT_EQ(hears_.bench.counter(Counter::kRepliesPassed), 2U);
  const Came came = after_exchange();
  ASSERT_EQ(came.to_backends.size(), 1U);
  EXPECT_EQ(came.to_backends[0].ack, 77'001U);
  EXPECT_EQ(came.to_clients.size(), 1U);
}

TEST_F(AnswersElsewhere, AHalfThatIsLeftGivesWayToTheNextSessionWithAnotherServer) {
  ask();
  server_says(answer());
  expect_opened(after_exchange());
  leave(promised_ + 1);
  wait_told_open();

  constexpr uint32_t kNextIsn = 100'000'000, kSecondIsn = 77'000;
  channel::PutService service{};
  service.syn_proxy = channel::SynProxy::kAlways;
  hears_.bench.put_service(0, kVip, {1}, service);
  hears_.bench.turn();
  ask(hears_, asks_, kNextIsn);
  const Frame from_second = Frame().from(kSecond).to(client(7)).ack(kNextIsn + 1);
  asks_.bench.backend_sends(Frame(from_second).syn().seq(kSecondIsn).tcp_options(kServerOptions));
  asks_.bench.turn();
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesPassed), 1U);
  turn_until(asks_, hears_, [&] {
    hears_.bench.turn();
    const auto told = asks_.table.from_client(client(7), kVip);
    return told && told->stage == FlowStage::kOpen && told->backend == kSecond;
  });
  asks_.bench.backend_sends(Frame(from_second).seq(kSecondIsn + 1).psh().payload("220 second\r\n"));
  asks_.bench.turn();
  const auto greeting = asks_.bench.to_clients();
  ASSERT_EQ(greeting.size(), 1U);
  EXPECT_EQ(greeting[0].seq, promised_ + 1);
}

TEST_F(AnswersElsewhere, AClientsHalfFollowsItsClientToTheEndAndTheNextSessionBeginsThere) {
  ask();
  server_says(answer());
  expect_opened(after_exchange());
  // Of what the server says, the client's acknowledgements tell.
  for (uint32_t heard = 0; heard < 40'000; heard += 1000) {
    asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(promised_ + 1 + heard));
    asks_.bench.turn();
  }
  EXPECT_EQ(asks_.bench.back().take().size(), 40U);
  asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(promised_ + 39'001).fin());
  asks_.bench.turn();
  EXPECT_EQ(asks_.bench.back().take().size(), 1U);
  EXPECT_EQ(asks_.bench.counter(Counter::kSegmentsNotBelieved), 0U);
  EXPECT_EQ(asks_.bench.counter(Counter::kFlowsClosingNow), 1U);
  asks_.bench.turn(kHalfClosedQuietMs);
  ask(asks_, hears_, kIsn + 100'000'000);
}

TEST_F(AnswersElsewhere, ToAnotherConnectionOfTheClientsAreNotPassedOnAndEndNothing) {
  ask();  // and it goes on in vain: the word of it stays
  constexpr uint32_t kNextIsn = 100'000'000;
  ask_only(hears_, kNextIsn);
  const Frame taken = from_server().syn().seq(77'000).ack(kNextIsn + 1).tcp_options(kServerOptions);
  server_says(taken);
  ASSERT_EQ(hears_.bench.to_backends().size(), 1U);
  ASSERT_EQ(hears_.bench.to_clients().size(), 1U);
  ASSERT_EQ(hears_.bench.counter(Counter::kFlowsEstablishedNow), 1U);
  server_says(taken);  // what acknowledged it was lost
  const auto again = hears_.bench.to_backends();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].ack, 77'001U);
  EXPECT_EQ(hears_.bench.counter(Counter::kRepliesPassed), 0U);
  EXPECT_EQ(hears_.bench.counter(Counter::kFlowsEstablishedNow), 1U);
}

TEST_F(AnswersElsewhere, TheEndOfAHalfHereDoesNotForgetWhoWaits) {
  have_a_session();
  constexpr uint32_t kNextIsn = 100'000'000;
  ask(asks_, hears_, kNextIsn);
  server_says(from_server().syn().seq(77'000).ack(kNextIsn + 1).tcp_options(kServerOptions));
  hears_.exchange->turn(1);  // it tells of the end of its half
  const auto told = hears_.table.from_client(client(7), kVip);
  ASSERT_TRUE(told);
  EXPECT_TRUE(told->is_asked());
}

TEST_F(AnswersElsewhere, AreSentAgainByTheServerWhereOneWasLost) {
  ask();
  server_says(answer());
  hears_.bench.turn();
  PassedAnswer lost;
  ASSERT_EQ(rte_ring_dequeue_elem(hears_.rings.answers_out, &lost, sizeof lost), 0);
  EXPECT_TRUE(after_exchange().to_clients.empty());
  server_says(answer());
  expect_opened(after_exchange());
}

TEST_F(AnswersElsewhere, ARefusalGoesThereToo) {
  ask();
  server_says(from_server().rst().seq(0).ack(kIsn + 1));
  const Came came = after_exchange();
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesTaken), 1U);
  EXPECT_EQ(asks_.bench.counter(Counter::kSynProxyMoved) + asks_.bench.counter(Counter::kSynProxyFailed), 1U);
}

TEST_F(AnswersElsewhere, WhatNobodyWaitsForIsTakenByNobody) {
  ask();
  PassedAnswer cases[4];
  for (PassedAnswer& each : cases) {
    each = {.backend = kBackend,
            .client = client(7),
            .sequence = kServerIsn,
            .ack = kIsn + 1,
            .window = Be16::of(64240),
            .flags = kSyn | kAck,
            .options_bytes = 0,
            .options = {}};
  }
  cases[0].ack = kIsn + 2;
  cases[1].client = client(8);
  cases[2].backend = kSecond;
  cases[3].backend.port = Be16::of(25);
  for (PassedAnswer& each : cases) rte_ring_sp_enqueue_elem(hears_.rings.answers_out, &each, sizeof each);
  const Came came = after_exchange();
  EXPECT_TRUE(came.to_clients.empty() && came.to_backends.empty());
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesTaken), 0U);
  server_says(answer());
  expect_opened(after_exchange());
  // Once it is open, nobody waits any more.
  PassedAnswer late = cases[0];
  late.ack = kIsn + 1;
  late.flags = kRst | kAck;
  late.sequence = 0;
  rte_ring_sp_enqueue_elem(hears_.rings.answers_out, &late, sizeof late);
  after_exchange();
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesTaken), 1U);
  EXPECT_EQ(asks_.bench.counter(Counter::kFlowsReset), 0U);
}

}  // namespace
}  // namespace sluice::testing
