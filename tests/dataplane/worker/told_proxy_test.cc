// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers where the servers' answers come back by another node than the clients' packets: one node sends the
// header, and the other has to know of it.
#include <gtest/gtest.h>

#include "dataplane/packet/proxy_header.h"
#include "tests/dataplane/support/told_node.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kHeaderBytes = 28;  // of v2 with IPv4
constexpr uint64_t kAllAttemptsMs = 60'000;

/// A node whose service wants a header.
struct ProxyNode : ToldNode {
  ProxyNode() : ToldNode({.proxy = channel::ProxyHeader::kV2}) {}

  static Frame client() { return Frame().from(kClient).to(kVip); }
  static Frame backend(uint16_t id) { return Frame().from(kBackends[id]).to(kClient); }

  /// The client's SYN, as this node places it.
  void place() {
    const auto syn = client_to_backend(client().syn().seq(700));
    ASSERT_TRUE(syn);
    for (uint16_t id = 0; id < 3; id++) {
      if (kBackends[id] == syn->destination) placed = id;
    }
  }
  /// The client's ACK of an answer that came by another node. Returns what went to the backend.
  std::vector<ReadFrame> acknowledge() {
    client_sends(client().seq(701).ack(901));
    turn();
    return to_backends();
  }
  uint64_t headers_resent() {
    const uint64_t before = counter(Counter::kProxyHeadersResent);
    for (uint64_t ms = 0; ms < kAllAttemptsMs; ms += 100) turn(100);
    to_backends();
    return counter(Counter::kProxyHeadersResent) - before;
  }

  uint16_t placed = 0;
};

Bytes header() {
  Bytes out(kMaxProxyHeader);
  out.resize(write_proxy_header(channel::ProxyHeader::kV2, kClient, kVip, out.data()));
  return out;
}

TEST(ToldProxy, TheServersHalfIsPassedOnAsTheClientCounts) {
  ProxyNode node;
  node.tell(1, FlowStage::kPlaced);
  const auto answer = node.backend_to_client(ProxyNode::backend(1).syn().seq(900).ack(701));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ack, 701u) << "no header has been sent yet";
  const auto greeting =
      node.backend_to_client(ProxyNode::backend(1).seq(901).ack(701 + kHeaderBytes).psh().payload("220 hi\r\n"));
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->ack, 701u);
  const auto again = node.backend_to_client(ProxyNode::backend(1).syn().seq(900).ack(701));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->ack, 701u);
  EXPECT_EQ(node.counter(Counter::kProxyHeadersSent), 0u) << "that is for who has the client's packets";
  node.expect_counter_law();
}

TEST(ToldProxy, TheHeaderGoesOutOnceAnotherNodeTellsOfTheAnswer) {
  ProxyNode node;
  node.place();
  node.tell(node.placed);
  node.told();
  const auto sent = node.acknowledge();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_TRUE(sent[0].payload.empty());
  EXPECT_EQ(sent[1].payload, header());
  EXPECT_EQ(sent[1].seq, 701u);
  EXPECT_EQ(sent[1].ack, 901u);
  EXPECT_FALSE(node.told().empty()) << "how long the header is";
  const auto ehlo = node.client_to_backend(ProxyNode::client().seq(701).ack(909).psh().payload("EHLO x\r\n"));
  ASSERT_TRUE(ehlo);
  EXPECT_EQ(ehlo->seq, 701 + kHeaderBytes);
  EXPECT_EQ(node.headers_resent(), 0u) << "the server has it, as it has spoken";
  const auto mail = node.client_to_backend(ProxyNode::client().seq(709).ack(1500).psh().payload("MAIL\r\n"));
  ASSERT_TRUE(mail);
  EXPECT_EQ(mail->seq, 709 + kHeaderBytes);
  EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), 0u);
  node.expect_counter_law();
}

TEST(ToldProxy, ASlowServerIsNotCutThoughItsAcknowledgementIsNotSeen) {
  ProxyNode node;
  node.place();
  node.tell(node.placed);
  node.acknowledge();
  EXPECT_GT(node.headers_resent(), 2u);
  EXPECT_EQ(node.counter(Counter::kFlowsCutProxy), 0u);
  const auto ehlo = node.client_to_backend(ProxyNode::client().seq(701).ack(909).psh().payload("EHLO x\r\n"));
  ASSERT_TRUE(ehlo);
  EXPECT_EQ(ehlo->seq, 701 + kHeaderBytes);
}

TEST(ToldProxy, AnAckThatIsSoonerThanTheWordWaitsForIt) {
  ProxyNode node;
  node.place();
  EXPECT_TRUE(node.acknowledge().empty());
  node.tell(node.placed);
  node.turn(HeldReplies::kHoldMs);
  EXPECT_EQ(node.to_backends().size(), 2u);
  EXPECT_EQ(node.counter(Counter::kProxyHeadersSent), 1u);
  node.expect_counter_law();
}

TEST(ToldProxy, AnAckOfWhichNobodyTellsGoesNowhereAndTakesNoRoomForHeaders) {
  ProxyNode node;
  node.place();
  EXPECT_TRUE(node.acknowledge().empty());
  node.turn(HeldReplies::kHoldMs);
  EXPECT_TRUE(node.to_backends().empty());
  EXPECT_EQ(node.counter(Counter::kDropProxyPending), 1u);
  EXPECT_EQ(node.counter(Counter::kProxyHeadersSent), 0u);
  node.tell(node.placed);
  EXPECT_EQ(node.acknowledge().size(), 2u) << "the server has answered again, and the client likewise";
  node.expect_counter_law();
}

TEST(ToldProxy, BothHalvesMayComeToTheNodeOfTheClientLater) {
  ProxyNode node;
  node.place();
  node.tell(node.placed);
  node.acknowledge();
  const auto greeting = node.backend_to_client(
      ProxyNode::backend(node.placed).seq(901).ack(701 + kHeaderBytes).psh().payload("220 hi\r\n"));
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->ack, 701u);
  EXPECT_EQ(node.headers_resent(), 0u);
  const auto ehlo = node.client_to_backend(ProxyNode::client().seq(701).ack(909).psh().payload("EHLO x\r\n"));
  ASSERT_TRUE(ehlo);
  EXPECT_EQ(ehlo->seq, 701 + kHeaderBytes);
  EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), 0u);
  node.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
