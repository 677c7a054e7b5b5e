// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/placement.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

class PlacementTest : public FlowPartsTest {
 protected:
  channel::BackendId choose(uint16_t n, bool opening = true) {
    const Packet packet = packet_from(client(n));
    refusal_ = Counter::kDropNoBackend;
    return placement_.choose(0, packet, flows_.place(flows_.hash(packet.source)), opening, refusal_);
  }
  void put_scheduler(channel::Scheduler scheduler) {
    channel::PutService message{};
    message.scheduler = scheduler;
    put_service({0, 1, 2}, message);
  }

  Random random_{7};
  Placement placement_{context_, *lifecycle_, random_};
  Counter refusal_ = Counter::kDropNoBackend;
};

TEST_F(PlacementTest, TheHashGivesAClientTheSameBackendEachTime) {
  const channel::BackendId first = choose(0);
  for (int i = 0; i < 10; i++) EXPECT_EQ(choose(0), first);
}

TEST_F(PlacementTest, GoesOnToTheNextBackendThatIsUsable) {
  for (uint16_t id = 0; id < 3; id++) put_backend(id, 100, 0, id == 2 ? channel::kBackendReachable : 0);
  for (uint16_t n = 0; n < 20; n++) EXPECT_EQ(choose(n), 2);
  put_backend(2, 100, 0, channel::kBackendReachable | channel::kBackendDown);
  EXPECT_EQ(choose(0), channel::kNoBackend);
  EXPECT_EQ(refusal_, Counter::kDropNoBackend);
}

TEST_F(PlacementTest, MaxConnectionsIsNeverExceededByAnOpening) {
  for (uint16_t id = 0; id < 3; id++) put_backend(id, 100, 1);
  for (uint16_t n = 0; n < 3; n++) {
    const channel::BackendId id = choose(n);
    ASSERT_NE(id, channel::kNoBackend);
    begin_flow(*lifecycle_, n, id);
  }
  EXPECT_EQ(choose(3), channel::kNoBackend);
  EXPECT_EQ(refusal_, Counter::kDropBackendLimit);
  EXPECT_NE(choose(3, false), channel::kNoBackend) << "a session in mid-stream was admitted elsewhere";
}

TEST_F(PlacementTest, TakesTurnsWithWrrAndTheLessLoadedWithLeastConn) {
  put_scheduler(channel::Scheduler::kWrr);
  std::map<channel::BackendId, int> chosen;
  for (uint16_t n = 0; n < 30; n++) chosen[choose(n)]++;
  EXPECT_EQ(chosen, (std::map<channel::BackendId, int>{{0, 10}, {1, 10}, {2, 10}}));

  put_scheduler(channel::Scheduler::kLeastConn);
  for (uint16_t n = 0; n < 90; n++) begin_flow(*lifecycle_, n, choose(n));
  for (uint16_t id = 0; id < 3; id++) EXPECT_NEAR(state_.backend(id).flows_now, 30, 4);
}

TEST_F(PlacementTest, NeverGivesAClientEndpointABackendThatKnowsItAlready) {
  const channel::BackendId first = choose(0);
  const FlowIndex index = begin_flow(*lifecycle_, 0, first);
  const channel::BackendId second = choose(0);
  EXPECT_NE(second, first);
  EXPECT_EQ(refusal_, Counter::kDropBackendCollision);
  lifecycle_->set_state(flows_[index], TcpState::kClosed);
  EXPECT_EQ(choose(0), first) << "the flow is over";
  EXPECT_EQ(flows_.size(), 0u);
}

TEST_F(PlacementTest, ExplainsHowAFlowCameToItsBackend) {
  Packet packet = packet_from(client());
  const channel::BackendId by_hash = choose(0);
  Flow& flow = flows_[0];  // its notes are looked at
  flow.backend = by_hash;
  EXPECT_EQ(placement_.explain(flow, packet), channel::PlacedBy::kTable);
  flow.backend = static_cast<channel::BackendId>((by_hash + 1) % 3);
  EXPECT_EQ(placement_.explain(flow, packet), channel::PlacedBy::kTableFurther);
  packet.tcp_flags = kTcpAck;
  EXPECT_EQ(placement_.explain(flow, packet), channel::PlacedBy::kAdopted);
}

}  // namespace
}  // namespace sluice::testing
