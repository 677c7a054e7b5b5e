// SPDX-License-Identifier: Apache-2.0
//
// Flows of IPv6 that another node has told of, and what a worker tells of its own (told_flows_test.cc and
// told_special_test.cc have all cases, of IPv4).
#include <gtest/gtest.h>

#include "tests/dataplane/support/told_node.h"

namespace sluice::testing {
namespace {

using channel::Counter;

struct Node6 : ToldNode {
  explicit Node6(channel::Forwarding forwarding = channel::Forwarding::kNat)
      : ToldNode({.forwarding = forwarding}, 64, 1, kEnds6) {}

  Endpoint server() const { return kEnds6.backends[other]; }
};

const Endpoint kLocal{kEnds6.peers, Be16::of(2000)};

TEST(ToldV6, AClientsPacketGoesToTheBackendThatItsNodeHasTold) {
  Node6 node;
  node.tell(node.other);
  const auto sent = node.client_to_backend(from_client(kEnds6));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, node.server());
  EXPECT_EQ(sent->source, kEnds6.client);
  const auto answer = node.backend_to_client(from_backend(node.other, kEnds6));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kEnds6.vip);
  EXPECT_EQ(answer->destination, kEnds6.client);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
  node.expect_counter_law();
}

TEST(ToldV6, AServersWordIsTranslatedWhoeverSpeaksFirst) {
  Node6 node;
  node.tell(node.other);
  const auto answer = node.backend_to_client(from_backend(node.other, kEnds6));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->source, kEnds6.vip);
  const auto sent = node.client_to_backend(from_client(kEnds6).seq(706).ack(908));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, node.server());
}

TEST(ToldV6, WhatHasEndedGoesByTheHash) {
  Node6 node;
  node.tell(node.other);
  node.table.erase(kEnds6.client, kEnds6.vip);
  const auto sent = node.client_to_backend(from_client(kEnds6));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, kEnds6.backends[node.by_hash]);
  EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
}

TEST(ToldV6, TheAnswerToASynOfAnotherNodeWaitsForTheWordOfIt) {
  Node6 node;
  const Frame answer = Frame().from(node.server()).to(kEnds6.client).syn().seq(900).ack(701);
  EXPECT_FALSE(node.backend_to_client(answer));
  EXPECT_EQ(node.counter(Counter::kRepliesHeld), 1u);
  node.tell(node.other, FlowStage::kPlaced);
  node.turn(HeldReplies::kHoldMs);
  const auto passed = node.to_clients();
  ASSERT_EQ(passed.size(), 1u);
  EXPECT_EQ(passed[0].source, kEnds6.vip);
  EXPECT_EQ(passed[0].destination, kEnds6.client);
}

TEST(ToldV6, AFlowIsToldWhenItBeginsIsEstablishedAndIsReset) {
  for (const bool by_client : {true, false}) {
    Node6 node;
    const auto syn = node.client_to_backend(Frame().from(kEnds6.client).to(kEnds6.vip).syn().seq(699));
    ASSERT_TRUE(syn);
    EXPECT_EQ(node.told().size(), 1u);
    const Frame from_server = Frame().from(syn->destination).to(kEnds6.client);
    node.backend_to_client(Frame(from_server).syn().seq(899).ack(700));
    node.client_to_backend(from_client(kEnds6));
    EXPECT_EQ(node.told().size(), 1u);
    if (by_client) {
      EXPECT_TRUE(node.client_to_backend(Frame().from(kEnds6.client).to(kEnds6.vip).rst().seq(706)));
    } else {
      EXPECT_TRUE(node.backend_to_client(Frame(from_server).rst().seq(900)));
    }
    EXPECT_EQ(node.told().size(), 1u);
    EXPECT_EQ(node.counter(Counter::kFlowsReset), 1u);
  }
}

TEST(ToldV6, FullnatGoesOnFromItsNodesEndpointWhoeverSpeaksFirst) {
  for (const bool client_first : {true, false}) {
    Node6 node(channel::Forwarding::kFullnat);
    ToldFlow flow = ToldNode::flow_with(node.other, kEnds6);
    flow.forwarding = channel::Forwarding::kFullnat;
    flow.local = kLocal;
    node.tell(flow);
    const auto client_speaks = [&] {
      const auto sent = node.client_to_backend(from_client(kEnds6));
      ASSERT_TRUE(sent);
      EXPECT_EQ(sent->source, kLocal);
      EXPECT_EQ(sent->destination, node.server());
    };
    if (client_first) client_speaks();
    const auto answer =
        node.backend_to_client(Frame().from(node.server()).to(kLocal).seq(900).ack(700).psh().payload("250 ok\r\n"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->source, kEnds6.vip);
    EXPECT_EQ(answer->destination, kEnds6.client);
    if (!client_first) client_speaks();
    EXPECT_EQ(node.counter(Counter::kFlowsResumed), 1u);
    node.expect_counter_law();
  }
}

TEST(ToldV6, FullnatSpeaksFromNoEndpointThatIsNoNodes) {
  for (const Endpoint& local :
       {endpoint("fd00:1::77", 2000), endpoint("fd00:1::2", 40000), endpoint("10.0.1.2", 2000)}) {
    Node6 node(channel::Forwarding::kFullnat);
    ToldFlow flow = ToldNode::flow_with(node.other, kEnds6);
    flow.forwarding = channel::Forwarding::kFullnat;
    flow.local = local;
    node.tell(flow);
    node.client_to_backend(from_client(kEnds6));
    EXPECT_EQ(node.counter(Counter::kFlowsResumed), 0u);
  }
}

TEST(ToldV6, BothHalvesGoOnWithTheirOwnNumbers) {
  Node6 node;
  ToldFlow flow = ToldNode::flow_with(node.other, kEnds6);
  flow.splice = ToldSplice{.sequence = 5000, .client_scale = 7, .server_scale = 9};
  node.tell(flow);
  const auto sent = node.client_to_backend(from_client(kEnds6));
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->ack, 900u - 5000u);
  const auto answer = node.backend_to_client(from_backend(node.other, kEnds6).seq(900 - 5000));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->seq, 900u);
  EXPECT_EQ(node.counter(Counter::kSegmentsNotBelieved), 0u);
}

}  // namespace
}  // namespace sluice::testing
