// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers where the servers' words come to another node than the clients' packets: the header is sent by the
// node that has the client, and both count by it.
#include "dataplane/flow/proxy_pending.h"
#include "dataplane/packet/proxy_header.h"
#include "tests/dataplane/support/elsewhere_fixture.h"
#include "tests/dataplane/support/told_memory.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kHeaderBytes = 28;  // of v2 with IPv4
constexpr uint32_t kAllAttemptsMs = 120'000;

Bytes header() {
  Bytes out(kMaxProxyHeader);
  out.resize(write_proxy_header(channel::ProxyHeader::kV2, client(7), kVip, out.data()));
  return out;
}

class HeadersElsewhere : public Elsewhere {
 protected:
  HeadersElsewhere() : Elsewhere({.proxy = channel::ProxyHeader::kV2}) {}

  static Frame greeting() {
    return from_server().seq(kServerIsn + 1).ack(kIsn + 1 + kHeaderBytes).psh().payload("220 mx\r\n");
  }
  static Frame ehlo() { return from_client().seq(kIsn + 1).ack(kServerIsn + 9).psh().payload("EHLO c\r\n"); }

  void send_syn() {
    asks_.bench.client_sends(from_client().syn().seq(kIsn));
    asks_.bench.turn();
    ASSERT_EQ(asks_.bench.to_backends().size(), 1U);
  }
  /// Up to where the client has the server's answer.
  void answer_syn() {
    send_syn();
    wait_told_asked(asks_, hears_);
    server_says(answer());
    expect_nothing_at_hearing_node();
    const auto came = after_exchange();
    ASSERT_EQ(came.to_clients.size(), 1U);
    EXPECT_EQ(came.to_clients[0].ack, kIsn + 1);
    EXPECT_TRUE(came.to_backends.empty());
  }
  /// Returns what goes to the server then.
  std::vector<ReadFrame> acknowledge() {
    asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(kServerIsn + 1));
    asks_.bench.turn();
    return asks_.bench.to_backends();
  }
  uint64_t headers_sent_again() {
    const uint64_t before = asks_.bench.counter(Counter::kProxyHeadersResent);
    for (uint32_t ms = 0; ms < kAllAttemptsMs; ms += 100) asks_.bench.turn(100);
    asks_.bench.to_backends();
    return asks_.bench.counter(Counter::kProxyHeadersResent) - before;
  }
  void expect_ehlo_goes_on() {
    asks_.bench.client_sends(ehlo());
    asks_.bench.turn();
    const auto sent = asks_.bench.to_backends();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].seq, kIsn + 1 + kHeaderBytes);
    EXPECT_EQ(asks_.bench.counter(Counter::kSegmentsNotBelieved), 0U);
  }
};

TEST_F(HeadersElsewhere, FollowTheClientsAcknowledgementAtItsNode) {
  answer_syn();
  const auto sent = acknowledge();
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_TRUE(sent[0].payload.empty());
  EXPECT_EQ(sent[0].seq, kIsn + 1) << "it goes before the header";
  EXPECT_EQ(sent[1].payload, header());
  EXPECT_EQ(sent[1].seq, kIsn + 1);
  EXPECT_EQ(sent[1].ack, kServerIsn + 1);
  wait_told_open();
  EXPECT_EQ(hears_.table.from_client(client(7), kVip)->proxy_bytes, kHeaderBytes);
}

TEST_F(HeadersElsewhere, TheServersHalfIsPassedOnAsTheClientCounts) {
  answer_syn();
  acknowledge();
  wait_told_open();
  server_says(greeting());
  const auto passed = hears_.bench.to_clients();
  ASSERT_EQ(passed.size(), 1U);
  EXPECT_EQ(passed[0].ack, kIsn + 1);
  EXPECT_EQ(passed[0].source, kVip);
  expect_ehlo_goes_on();
  EXPECT_EQ(headers_sent_again(), 0U) << "the server has it, as it has spoken";
}

TEST_F(HeadersElsewhere, WhatTheServerSaysOfTheHeaderWaitsForTheWordOfTheOpenSession) {
  answer_syn();
  acknowledge();
  server_says(from_server().seq(kServerIsn + 1).ack(kIsn + 1 + kHeaderBytes));
  expect_nothing_at_hearing_node();
  wait_told_open();
  hears_.bench.turn(HeldReplies::kHoldMs);
  const auto passed = hears_.bench.to_clients();
  ASSERT_EQ(passed.size(), 1U);
  EXPECT_EQ(passed[0].ack, kIsn + 1);
  EXPECT_EQ(hears_.bench.counter(Counter::kFlowsResumed), 1U);
}

TEST_F(HeadersElsewhere, AnAnswerThatIsLostOnTheWayToTheClientComesAgain) {
  answer_syn();
  server_says(answer());
  const auto came = after_exchange();
  ASSERT_EQ(came.to_clients.size(), 1U);
  EXPECT_EQ(came.to_clients[0].ack, kIsn + 1);
  EXPECT_EQ(asks_.bench.counter(Counter::kRepliesTaken), 2U);
  EXPECT_EQ(acknowledge().size(), 2U);
}

TEST_F(HeadersElsewhere, AnAnswerThatComesAgainThoughTheSessionIsOpenIsAsTheClientCounts) {
  answer_syn();
  acknowledge();
  wait_told_open();
  server_says(answer());
  const auto passed = hears_.bench.to_clients();
  ASSERT_EQ(passed.size(), 1U);
  EXPECT_EQ(passed[0].ack, kIsn + 1);
}

TEST_F(HeadersElsewhere, OfAServerThatIsSlowToSpeakNothingIsCutThoughItsAcknowledgementIsNotSeen) {
  answer_syn();
  acknowledge();
  EXPECT_GT(headers_sent_again(), 2U);
  EXPECT_EQ(asks_.bench.counter(Counter::kFlowsCutProxy), 0U);
  expect_ehlo_goes_on();
}

TEST_F(HeadersElsewhere, AWordThatIsLostIsSaidAgainWithTheHeader) {
  answer_syn();
  acknowledge();
  ASSERT_FALSE(take_told(asks_.rings.tells).empty());
  server_says(greeting());
  hears_.bench.turn(HeldReplies::kHoldMs);
  expect_nothing_at_hearing_node();
  asks_.bench.turn(ProxyPending::kWaitMs[0] + 1);
  const auto again = asks_.bench.to_backends();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].payload, header());
  wait_told_open();
  server_says(greeting());
  const auto passed = hears_.bench.to_clients();
  ASSERT_EQ(passed.size(), 1U);
  EXPECT_EQ(passed[0].ack, kIsn + 1);
}

TEST_F(HeadersElsewhere, ARefusalEndsTheConnection) {
  send_syn();
  wait_told_asked(asks_, hears_);
  server_says(from_server().rst().seq(0).ack(kIsn + 1));
  const auto came = after_exchange();
  ASSERT_EQ(came.to_clients.size(), 1U);
  EXPECT_NE(came.to_clients[0].flags & kTcpRst, 0);
  EXPECT_EQ(asks_.bench.counter(Counter::kProxyHeadersSent), 0U);
}

TEST_F(HeadersElsewhere, BothHalvesMayComeToTheNodeOfTheClientLater) {
  answer_syn();
  acknowledge();
  asks_.bench.backend_sends(greeting());
  asks_.bench.turn();
  const auto passed = asks_.bench.to_clients();
  ASSERT_EQ(passed.size(), 1U);
  EXPECT_EQ(passed[0].ack, kIsn + 1);
  expect_ehlo_goes_on();
  EXPECT_EQ(headers_sent_again(), 0U);
}

/// Likewise where the client's SYN was answered in the server's place.
class HeadersElsewhereAfterCookies : public Elsewhere {
 protected:
  HeadersElsewhereAfterCookies()
      : Elsewhere({.proxy = channel::ProxyHeader::kV2, .syn_proxy = channel::SynProxy::kAlways}) {}
};

TEST_F(HeadersElsewhereAfterCookies, GoOutWithTheServersAnswerAndAreCountedAtBothNodes) {
  asks_.bench.client_sends(from_client().syn().seq(kIsn));
  asks_.bench.turn();
  const auto promised = asks_.bench.to_clients();
  ASSERT_EQ(promised.size(), 1U);
  const uint32_t first = promised[0].seq + 1;
  asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(first));
  asks_.bench.turn();
  wait_told_asked(asks_, hears_);
  server_says(answer());
  const auto came = after_exchange();
  ASSERT_FALSE(came.to_backends.empty());
  EXPECT_EQ(came.to_backends.back().payload, header());
  EXPECT_EQ(came.to_clients.size(), 1U);
  wait_told_open();
  EXPECT_EQ(hears_.table.from_client(client(7), kVip)->proxy_bytes, kHeaderBytes);
  server_says(from_server().seq(kServerIsn + 1).ack(kIsn + 1 + kHeaderBytes).psh().payload("220 mx\r\n"));
  const auto greeting = hears_.bench.to_clients();
  ASSERT_EQ(greeting.size(), 1U);
  EXPECT_EQ(greeting[0].seq, first);
  EXPECT_EQ(greeting[0].ack, kIsn + 1);
  asks_.bench.client_sends(from_client().seq(kIsn + 1).ack(first + 8).psh().payload("EHLO c\r\n"));
  asks_.bench.turn();
  const auto ehlo = asks_.bench.to_backends();
  ASSERT_EQ(ehlo.size(), 1U);
  EXPECT_EQ(ehlo[0].seq, kIsn + 1 + kHeaderBytes);
  EXPECT_EQ(ehlo[0].ack, kServerIsn + 9);
}

}  // namespace
}  // namespace sluice::testing
