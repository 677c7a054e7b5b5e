// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/flow_lifecycle.h"

#include <gtest/gtest.h>

#include "dataplane/worker/flow_expiry.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

class FlowLifecycleTest : public FlowPartsTest {};

TEST_F(FlowLifecycleTest, CountsAFlowWhereverItBelongsFromBeginToEnd) {
  const FlowIndex index = begin_flow(*lifecycle_);
  EXPECT_EQ(counter(Counter::kFlowsCreated), 1u);
  EXPECT_EQ(counter(Counter::kFlowsEmbryonicNow), 1u);
  EXPECT_EQ(stats_->services[0].flows_now, 1u);
  EXPECT_EQ(stats_->backends[0].flows_now, 1u);
  EXPECT_EQ(state_.backend(0).flows_now, 1u);
  EXPECT_EQ(stats_->backends[0].last_new_flow_ms, kBegin);

  lifecycle_->set_state(flows_[index], TcpState::kEstablished);
  EXPECT_EQ(counter(Counter::kFlowsEmbryonicNow), 0u);
  EXPECT_EQ(counter(Counter::kFlowsEstablishedNow), 1u);
  EXPECT_EQ(stats_->services[0].flows_established, 1u);

  lifecycle_->set_state(flows_[index], TcpState::kClosed);
  EXPECT_EQ(counter(Counter::kFlowsClosingNow), 1u);
  EXPECT_EQ(state_.backend(0).flows_now, 0u) << "a closed flow is no load";
  EXPECT_EQ(stats_->services[0].flows_now, 0u);

  lifecycle_->forget(index);
  EXPECT_EQ(counter(Counter::kFlowsClosingNow), 0u);
  EXPECT_EQ(stats_->services[0].flows_now, 0u) << "not counted out twice";
  EXPECT_EQ(flows_.size(), 0u);
}

TEST_F(FlowLifecycleTest, AnUnfinishedHandshakeMakesRoomForTheNewest) {
  const EmbryonicRing ring(flows_);
  for (uint16_t n = 0; n < ring.limit(); n++) begin_flow(*lifecycle_, n);
  EXPECT_EQ(flows_.size(), ring.limit());
  begin_flow(*lifecycle_, 5000);
  EXPECT_EQ(flows_.size(), ring.limit());
  EXPECT_EQ(counter(Counter::kFlowsRecycledEmbryonic), 1u);
  EXPECT_EQ(counter(Counter::kFlowsEmbryonicNow), ring.limit());
}

TEST_F(FlowLifecycleTest, AFinishedHandshakeIsNotDisplaced) {
  const EmbryonicRing ring(flows_);
  const FlowIndex first = begin_flow(*lifecycle_);
  lifecycle_->set_state(flows_[first], TcpState::kEstablished);
  for (uint16_t n = 1; n <= ring.limit(); n++) begin_flow(*lifecycle_, n);
  EXPECT_EQ(flows_[first].state, TcpState::kEstablished);
  EXPECT_EQ(counter(Counter::kFlowsRecycledEmbryonic), 0u);
}

TEST_F(FlowLifecycleTest, CuttingResetsBothEndsAndKeepsThePlaceForAWhile) {
  const FlowIndex index = begin_flow(*lifecycle_, 0, 1);
  lifecycle_->cut(index, Counter::kFlowsCutDown);
  EXPECT_EQ(flows_[index].state, TcpState::kReset);
  EXPECT_NE(flows_[index].flags & kFlowCut, 0);
  EXPECT_EQ(flows_[index].deadline_ms, clock_.now32_ms() + setup_.timers.after_reset_ms);
  const auto to_client = sent(kFront);
  const auto to_backend = sent(kBack);
  ASSERT_EQ(to_client.size(), 1u);
  ASSERT_EQ(to_backend.size(), 1u);
  const auto client_reset = read(to_client[0]);
  const auto backend_reset = read(to_backend[0]);
  ASSERT_TRUE(client_reset && backend_reset);
  EXPECT_EQ(client_reset->source, vip());
  EXPECT_EQ(client_reset->destination, client());
  EXPECT_EQ(client_reset->seq, 5001u);
  EXPECT_EQ(backend_reset->source, client());
  EXPECT_EQ(backend_reset->destination, backend(1));
  EXPECT_EQ(backend_reset->seq, 1001u);
}

TEST_F(FlowLifecycleTest, ResetsOfOnePollAreBounded) {
  std::vector<FlowIndex> flows;
  for (uint16_t n = 0; n < Resets::kPerPoll; n++) flows.push_back(begin_flow(*lifecycle_, n));
  for (const FlowIndex index : flows) {
    if (resets_.may_make()) lifecycle_->cut(index, Counter::kFlowsCutDown);
  }
  EXPECT_EQ(counter(Counter::kFlowsCutDown), Resets::kPerPoll / 2) << "two resets a flow";
  pass(1);
  EXPECT_TRUE(resets_.may_make());
}

class FlowExpiryTest : public FlowPartsTest {
 protected:
  FlowExpiry expiry_{context_, *observer_, resets_, *lifecycle_, farewell_};
};

TEST_F(FlowExpiryTest, ForgetsAFlowWhoseTimeIsUpAndNoOther) {
  begin_flow(*lifecycle_, 0);
  const FlowIndex open = begin_flow(*lifecycle_, 1);
  lifecycle_->set_state(flows_[open], TcpState::kEstablished);
  flows_[open].deadline_ms = clock_.deadline_ms(TcpState::kEstablished);
  pass(setup_.timers.handshake_ms + 1);
  EXPECT_TRUE(expiry_.sweep());
  EXPECT_EQ(flows_.size(), 1u);
  EXPECT_EQ(flows_[open].state, TcpState::kEstablished);
  EXPECT_EQ(counter(Counter::kFlowsExpired), 1u);
}

TEST_F(FlowExpiryTest, VisitsEveryFlowOncePerRoundAndAllAtOnceInAHurry) {
  for (uint16_t n = 0; n < 200; n++) lifecycle_->set_state(flows_[begin_flow(*lifecycle_, n)], TcpState::kEstablished);
  EXPECT_FALSE(expiry_.sweep()) << "no time has passed";
  for (uint16_t id = 0; id < 3; id++) put_backend(id, 100, 0, channel::kBackendCut);
  resets_.begin_poll();
  EXPECT_FALSE(expiry_.sweep());
  expiry_.hurry();
  for (int polls = 0; polls < 100 && counter(Counter::kFlowsCutDown) < 200; polls++) {
    resets_.begin_poll();
    expiry_.sweep();
    sent(kFront);
  }
  EXPECT_EQ(counter(Counter::kFlowsCutDown), 200u);
}

TEST_F(FlowExpiryTest, RecyclesClosedFlowsOnly) {
  const FlowIndex open = begin_flow(*lifecycle_, 0);
  const FlowIndex closed = begin_flow(*lifecycle_, 1);
  EXPECT_FALSE(expiry_.recycle_closed());
  lifecycle_->set_state(flows_[closed], TcpState::kClosed);
  EXPECT_TRUE(expiry_.recycle_closed());
  EXPECT_EQ(counter(Counter::kFlowsRecycledClosing), 1u);
  EXPECT_EQ(flows_[open].state, TcpState::kSynSent);
  EXPECT_EQ(flows_[closed].state, TcpState::kFree);
}

}  // namespace
}  // namespace sluice::testing
