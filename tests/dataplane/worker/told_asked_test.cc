// SPDX-License-Identifier: Apache-2.0
//
// A session whose client's SYN another node has answered, and whose backend that node has asked: the answer comes here.
#include <gtest/gtest.h>

#include "dataplane/peers/flow_names.h"
#include "tests/dataplane/support/told_node.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kPromised = 0xffff'ff00, kServerIsn = 900, kClientNext = 701;
const Bytes kScaleOfNine{1, 3, 3, 9};

class ToldAsked : public ::testing::TestWithParam<const ToldEnds*> {
 protected:
  void TearDown() override { node_.expect_counter_law(); }

  ToldFlow asked() const {
    ToldFlow out = ToldNode::flow_with(node_.other, ends_);
    out.stage = FlowStage::kPlaced;
    out.splice = ToldSplice{.sequence = kPromised, .client_scale = 7, .server_scale = 15, .client_next = kClientNext};
    return out;
  }
  Frame from_server() const { return Frame().from(ends_.backends[node_.other]).to(ends_.client); }
  Frame answer(uint32_t sequence = kServerIsn) const {
    return from_server().syn().seq(sequence).ack(kClientNext).window(64240).tcp_options(kScaleOfNine);
  }
  struct Came {
    std::vector<ReadFrame> to_clients, to_backends;
  };
  Came after(const Frame& frame, uint64_t advance_ms = 0) {
    node_.backend_sends(frame);
    node_.turn(advance_ms);
    return {node_.to_clients(), node_.to_backends()};
  }
  Came turn(uint64_t advance_ms) {
    node_.turn(advance_ms);
    return {node_.to_clients(), node_.to_backends()};
  }
  void expect_completed(const Came& came, uint32_t server_isn = kServerIsn) const {
    ASSERT_EQ(came.to_backends.size(), 1u);
    const ReadFrame& acknowledged = came.to_backends[0];
    EXPECT_EQ(acknowledged.flags, uint8_t{kTcpAck});
    EXPECT_EQ(acknowledged.source, ends_.client);
    EXPECT_EQ(acknowledged.destination, ends_.backends[node_.other]);
    EXPECT_EQ(acknowledged.seq, kClientNext);
    EXPECT_EQ(acknowledged.ack, server_isn + 1);
    EXPECT_EQ(acknowledged.window, SynProxy::kWindowUnknown >> 7);
    ASSERT_EQ(came.to_clients.size(), 1u);
    const ReadFrame& opened = came.to_clients[0];
    EXPECT_EQ(opened.flags, uint8_t{kTcpAck});
    EXPECT_EQ(opened.source, ends_.vip);
    EXPECT_EQ(opened.destination, ends_.client);
    EXPECT_EQ(opened.seq, kPromised + 1);
    EXPECT_EQ(opened.ack, kClientNext);
    EXPECT_EQ(opened.window, 64240 >> Splice::kOurScale);
  }
  void expect_nothing(const Came& came) const {
    EXPECT_TRUE(came.to_clients.empty());
    EXPECT_TRUE(came.to_backends.empty());
    EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 0u);
    EXPECT_EQ(node_.counter(Counter::kFlowsEstablished), 0u);
  }
  /// The flow that the worker has told of last, as other nodes are told.
  std::optional<ToldFlow> last_told() {
    const auto flows = node_.told();
    return flows.empty() ? std::nullopt : FlowNames(node_.flow_memory(), 4096).at(flows.back());
  }

  const ToldEnds& ends_ = *GetParam();
  ToldNode node_{{}, 64, 1, ends_};
};
INSTANTIATE_TEST_SUITE_P(BothFamilies, ToldAsked, ::testing::Values(&kEnds4, &kEnds6));

TEST_P(ToldAsked, TheAnswerIsAcknowledgedAndOpensTheClientsWindow) {
  node_.tell(asked());
  expect_completed(after(answer()));
  const auto told = last_told();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->stage, FlowStage::kOpen) << "the node that asked hears of it";
  EXPECT_EQ(told->splice,
            (ToldSplice{
                .sequence = kPromised - kServerIsn, .client_scale = 7, .server_scale = 9, .client_next = kClientNext}));
  const Came greeting = after(from_server().seq(kServerIsn + 1).ack(kClientNext).psh().payload("220 mx\r\n"));
  ASSERT_EQ(greeting.to_clients.size(), 1u);
  EXPECT_EQ(greeting.to_clients[0].seq, kPromised + 1);
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 1u);
  EXPECT_EQ(node_.counter(Counter::kSegmentsNotBelieved), 0u);
}

TEST_P(ToldAsked, AnAnswerThatComesSoonerThanTheWordOfItWaits) {
  expect_nothing(after(answer()));
  node_.tell(asked());
  expect_completed(turn(HeldReplies::kHoldMs));
}

TEST_P(ToldAsked, AnAnswerThatComesAgainIsAcknowledgedAgain) {
  node_.tell(asked());
  expect_completed(after(answer()));
  const Came again = after(answer());
  ASSERT_EQ(again.to_backends.size(), 1u);
  EXPECT_EQ(again.to_backends[0].ack, kServerIsn + 1);
  EXPECT_TRUE(again.to_clients.empty());
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 1u);
}

TEST_P(ToldAsked, WhatIsNotTheAnswerMakesNothing) {
  node_.tell(asked());
  const Frame cases[] = {
      answer().ack(kClientNext + 1),
      answer().ack(kClientNext - 1),
      from_server().seq(kServerIsn).ack(kClientNext),
      from_server().seq(kServerIsn).ack(kClientNext).psh().payload("220 mx\r\n"),
      from_server().rst().seq(0).ack(kClientNext),
      from_server().syn().seq(kServerIsn),
      answer().from(ends_.backends[node_.by_hash]),
  };
  for (const Frame& frame : cases) expect_nothing(after(frame, HeldReplies::kHoldMs + 1));
  turn(HeldReplies::kHoldMs + 1);
  node_.client_sends(answer());  // of somebody on the clients' side
  expect_nothing(turn(0));
  expect_completed(after(answer()));
}

TEST_P(ToldAsked, AClientsOwnWordIsNotTakenForTheAnswer) {
  node_.tell(asked());
  node_.client_sends(from_client(ends_).seq(kClientNext).ack(kPromised + 1));
  turn(0);
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 0u);
}

TEST_P(ToldAsked, WhatWasLeftOfTheClientsLastConnectionGivesWay) {
  ToldFlow last = asked();
  last.stage = FlowStage::kOpen;
  last.splice->sequence = 5000;
  node_.tell(last);
  ASSERT_EQ(after(from_server().seq(30'000).ack(20'000).psh().payload("221 bye\r\n")).to_clients.size(), 1u);
  ASSERT_EQ(node_.counter(Counter::kFlowsResumed), 1u);
  node_.tell(asked());
  expect_completed(after(answer(7777)), 7777);
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 2u);
  EXPECT_EQ(node_.worker().flows().size(), 2u) << "beside it that of the client by which the way is known";
}

TEST_P(ToldAsked, SoDoesOneWithAnotherServer) {
  node_.tell(node_.by_hash);
  node_.backend_sends(from_backend(node_.by_hash, ends_));
  ASSERT_EQ(turn(0).to_clients.size(), 1u);
  node_.tell(asked());
  expect_completed(after(answer()));
  EXPECT_EQ(node_.worker().flows().size(), 2u);
}

TEST_P(ToldAsked, AHalfClosedSessionGivesWayToThatWithAnotherServerOfWhichIsTold) {
  node_.tell(node_.by_hash);
  const Frame bye = from_backend(node_.by_hash, ends_).fin();
  node_.backend_sends(from_backend(node_.by_hash, ends_));
  node_.backend_sends(Frame(bye).seq(908));
  ASSERT_EQ(turn(0).to_clients.size(), 2u);
  node_.tell(node_.other, FlowStage::kPlaced);
  EXPECT_TRUE(after(answer()).to_clients.empty()) << "it may still be closing";
  const Came came = after(answer(), kHalfClosedQuietMs);
  ASSERT_EQ(came.to_clients.size(), 1u);
  EXPECT_EQ(came.to_clients[0].flags, kTcpSyn | kTcpAck);
}

TEST_P(ToldAsked, NoSessionThatIsOpenGivesWayToAnAnswerOfWhichNobodyHasTold) {
  node_.tell(node_.other);
  ASSERT_EQ(after(from_backend(node_.other, ends_)).to_clients.size(), 1u);
  after(answer());
  node_.tell(asked());  // by the same node, but the numbers do not fit
  after(answer().ack(kClientNext + 9));
  EXPECT_EQ(after(from_backend(node_.other, ends_).seq(908)).to_clients.size(), 1u);
  EXPECT_EQ(node_.counter(Counter::kFlowsResumed), 1u);
}

}  // namespace
}  // namespace sluice::testing
