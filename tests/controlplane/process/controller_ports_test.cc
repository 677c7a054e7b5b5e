// SPDX-License-Identifier: Apache-2.0
//
// Control as a whole: the data plane's ports, as they are, change and lose their link.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/controlplane/support/controller_fixture.h"

namespace sluice::control {
namespace {

constexpr const char* kFrontAndBack =
    R"({ name = "front"; device = "net_null1"; twin = "slf0"; faces = "clients"; },
       { name = "back"; device = "net_null0"; twin = "slb0"; faces = "backends"; vlan = 7; })";

TEST_F(ControllerTest, APortMaySitAnywhereInTheDataPlane) {
  write({.backends = 1});
  start_dataplane({front_port(), back_port()});
  start_control();
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  EXPECT_EQ(told().port_index, 1) << "by name, not by its place in our file";
}

TEST_F(ControllerTest, PortsThatAReloadChangesAreTakenUpWhenTheDataPlaneHasRestarted) {
  write({.backends = 1});
  start();
  ASSERT_EQ(told().port_index, 0);
  write({.backends = 1, .ports = kFrontAndBack});
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->dataplane_restart, std::vector<std::string>{"dataplane.ports"});
  settle();
  EXPECT_EQ(told().port_index, 0) << "it runs with the old ones still";
  restart_dataplane({front_port(), back_port(7)});
  EXPECT_EQ(told().port_index, 1);
  EXPECT_EQ(told().vlan, 7);
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  const Reloaded again = controller_->reload();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->is_empty()) << "nothing waits any more";
}

TEST_F(ControllerTest, ADataPlaneWithPortsThatOurFileHasNotIsRefusedUntilAReload) {
  write({.backends = 1});
  start();
  restart_dataplane({front_port(), back_port(7)});
  EXPECT_EQ(told().flags & channel::kBackendReachable, 0) << "nothing leaves in the wrong VLAN";
  EXPECT_EQ(controller_->model().members()[0].state(), "unreachable");
  EXPECT_NE(controller_->model().members()[0].reason().find("no VLAN here and VLAN 7 in the data plane"),
            std::string::npos)
      << controller_->model().members()[0].reason();
  EXPECT_TRUE(journal_says("no backend is reached through it: it has no VLAN here and VLAN 7 in the data plane"));
  write({.backends = 1, .ports = kFrontAndBack});
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->dataplane_restart.empty()) << "the data plane runs with this file";
  settle();
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  EXPECT_EQ(told().port_index, 1);
  EXPECT_EQ(told().vlan, 7);
}

TEST_F(ControllerTest, AControlThatStartsBeforeTheDataPlaneHasRestartedRefusesAndThenAgrees) {
  write({.backends = 1, .ports = kFrontAndBack});
  start();  // the data plane still has one port and no VLAN
  EXPECT_EQ(told().flags & channel::kBackendReachable, 0);
  restart_dataplane({front_port(), back_port(7)});
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  EXPECT_EQ(told().port_index, 1);
  EXPECT_TRUE(journal_says("it is the data plane's again"));
}

TEST_F(ControllerTest, ATwinWithAnotherMacAddressThanTheCardIsRefused) {
  write({.backends = 1});
  channel::PortStatus other_card = back_port();
  other_card.mac.bytes[5] = 0xb1;
  start_dataplane({other_card});
  start_control();
  EXPECT_EQ(told().flags & channel::kBackendReachable, 0);
  EXPECT_NE(controller_->model().members()[0].reason().find("02:00:00:00:00:b0, the card has 02:00:00:00:00:b1"),
            std::string::npos)
      << controller_->model().members()[0].reason();
}

TEST_F(ControllerTest, ALinkThatGoesAndComesIsToldAndChangesNoBackend) {
  write({.backends = 1});
  start();
  dataplane_->port(0).link_up = 0;
  run_until([&] { return !controller_->model().ports()[0].link_up; });
  EXPECT_TRUE(journal_says("link down"));
  EXPECT_EQ(controller_->model().members()[0].state(), "up") << "our own link is no word about a backend";
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  dataplane_->port(0).link_up = 1;
  run_until([&] { return controller_->model().ports()[0].link_up; });
  EXPECT_TRUE(journal_says("link up"));
  dataplane_->port(0).link_changes += 2;
  run_until([&] { return journal_says("its link went and came back between two looks at it"); });
}

TEST_F(ControllerTest, ACardThatSteersAndOneThatDoesNotAreTold) {
  write({.backends = 1});
  start();
  channel::PortStatus& port = dataplane_->port(0);
  port.steering = channel::Steering::kUnproven;
  const auto seen_by = std::chrono::steady_clock::now() + 2 * Ports::kPeriod;
  run_until([&] { return std::chrono::steady_clock::now() > seen_by; });
  port.steering = channel::Steering::kSteers;
  run_until([&] { return journal_says("is proven to put packets before the worker that has their flow"); });
  port.steering_fault = channel::SteeringFault::kTable;
  port.steering = channel::Steering::kMisplaces;
  run_until([&] { return journal_says("its hash is right, its redirection table is not what was written"); });
}

TEST_F(ControllerTest, AMemberOfABondThatLosesItsLinkIsTold) {
  write({.backends = 1});
  start();
  channel::BondMember& member = dataplane_->port(0).members[0];
  strcpy(member.device, "0000:3b:00.0");
  member.link_up = 1;
  const auto seen_by = std::chrono::steady_clock::now() + 2 * Ports::kPeriod;
  run_until([&] { return std::chrono::steady_clock::now() > seen_by; });
  member.link_up = 0;
  run_until([&] { return journal_says("0000:3b:00.0, of its bond: link down"); });
  member.link_up = 1;
  run_until([&] { return journal_says("0000:3b:00.0, of its bond: link up"); });
}

}  // namespace
}  // namespace sluice::control
