// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/router_moves.h"

#include <gtest/gtest.h>

#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

class RouterMovesTest : public FlowPartsTest {
 protected:
  static channel::MoveRouter move(uint8_t from, uint8_t to, uint8_t port = kFront) {
    channel::MoveRouter message{};
    message.from = mac(from);
    message.to = mac(to);
    message.port_index = port;
    return message;
  }
  FlowIndex flow_behind(uint8_t station, uint16_t n, uint32_t port = kFront) {
    const FlowIndex index = begin_flow(*lifecycle_, n);
    lifecycle_->set_state(flows_[index], TcpState::kEstablished);
    flows_[index].client_mac = mac(station);
    flows_[index].vlan_and_port = static_cast<uint16_t>(7 | port << 12);
    return index;
  }
  void sweep_all() {
    for (int polls = 0; polls < 100 && moves_.sweep(); polls++) continue;
    EXPECT_FALSE(moves_.sweep());
  }

  RouterMoves moves_{context_};
};

TEST_F(RouterMovesTest, TakesFlowsAlongSomeInEachPoll) {
  std::vector<FlowIndex> flows;
  for (uint16_t n = 0; n < 1000; n++) flows.push_back(flow_behind(0x71, n));
  EXPECT_FALSE(moves_.sweep()) << "nothing has moved";
  EXPECT_FALSE(moves_.add(move(0x71, 0x72)));
  EXPECT_TRUE(moves_.sweep());
  EXPECT_EQ(counter(Counter::kFlowsMovedRouter), RouterMoves::kVisitsPerPoll);
  sweep_all();
  EXPECT_EQ(counter(Counter::kFlowsMovedRouter), 1000u);
  for (const FlowIndex index : flows) {
    EXPECT_EQ(flows_[index].client_mac, mac(0x72));
    EXPECT_EQ(flows_[index].vlan_and_port, 7 | kFront << 12);
  }
}

TEST_F(RouterMovesTest, LeavesOtherStationsAndPortsAlone) {
  const FlowIndex other_station = flow_behind(0x70, 0);
  const FlowIndex other_port = flow_behind(0x71, 1, kBack);
  moves_.add(move(0x71, 0x72));
  sweep_all();
  EXPECT_EQ(flows_[other_station].client_mac, mac(0x70));
  EXPECT_EQ(flows_[other_port].client_mac, mac(0x71));
  EXPECT_EQ(counter(Counter::kFlowsMovedRouter), 0u);
}

TEST_F(RouterMovesTest, FollowsOneThatMovesAgainBeforeTheRoundIsOver) {
  std::vector<FlowIndex> flows;
  for (uint16_t n = 0; n < 1000; n++) flows.push_back(flow_behind(0x71, n));
  moves_.add(move(0x71, 0x72));
  moves_.sweep();
  moves_.add(move(0x72, 0x73));
  sweep_all();
  for (const FlowIndex index : flows) EXPECT_EQ(flows_[index].client_mac, mac(0x73));
}

TEST_F(RouterMovesTest, ManyMovesAtOnceKeepTheLatest) {
  const FlowIndex index = flow_behind(0x71, 0);
  for (uint8_t n = 0; n < 2 * RouterMoves::kMoves; n++) moves_.add(move(n, 0xa0));
  moves_.add(move(0x71, 0x72));
  sweep_all();
  EXPECT_EQ(flows_[index].client_mac, mac(0x72));
}

TEST_F(RouterMovesTest, RefusesAPortThatThereIsNot) {
  EXPECT_EQ(moves_.add(move(0x71, 0x72, 2)), channel::RejectReason::kBadPortIndex);
  EXPECT_FALSE(moves_.sweep());
}

TEST_F(RouterMovesTest, TheWayToNewClientsMovesToo) {
  routers_.heard(true, {mac(0x71), 7, kFront});
  moves_.add(move(0x71, 0x72));
  const auto path = routers_.towards(true);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->mac, mac(0x72));
  EXPECT_EQ(path->vlan, 7);
  EXPECT_EQ(path->port, kFront);
  EXPECT_FALSE(routers_.towards(false));
}

}  // namespace
}  // namespace sluice::testing
