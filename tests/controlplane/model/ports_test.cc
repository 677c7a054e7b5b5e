// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/ports.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/controlplane/support/model_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

const MacAddress kFrontMac{{2, 0, 0, 0, 0, 1}};
const MacAddress kBackMac{{2, 0, 0, 0, 0, 2}};

std::vector<config::Port> ours() {
  return {{.name = "front", .twin = "slf0"}, {.name = "back", .twin = "slb0", .vlan = 7}};
}

PublishedPort front() {
  return {.name = "front", .twin = "slf0", .mac = kFrontMac, .link_up = true};
}
PublishedPort back() {
  return {.name = "back", .twin = "slb0", .mac = kBackMac, .vlan = 7, .link_up = true};
}

std::optional<MacAddress> mac_of(const std::string& twin) {
  if (twin == "slf0") return kFrontMac;
  if (twin == "slb0") return kBackMac;
  return std::nullopt;
}

TEST(Ports, AreBoundByNameWhateverTheirPlace) {
  PublishedPort other = front();
  other.name = "other";
  other.twin = "slo0";
  const auto bound = bind_ports(ours(), {other, back(), front()}, mac_of);
  ASSERT_EQ(bound.size(), 2u);
  EXPECT_EQ(bound[0], (BoundPort{.name = "front", .twin = "slf0", .index = 2}));
  EXPECT_EQ(bound[1], (BoundPort{.name = "back", .twin = "slb0", .index = 1, .vlan = 7}));
}

TEST(Ports, AreRefusedWhereTheDataPlaneHasThemOtherwise) {
  PublishedPort other_twin = back(), other_vlan = back(), other_card = back(), no_twin = back();
  other_twin.twin = "slb1";
  other_vlan.vlan = 0;
  other_card.mac = kFrontMac;
  no_twin.twin = "";
  const struct {
    const char* description;
    std::vector<PublishedPort> theirs;
    const char* says;
  } cases[] = {
      {"missing", {front()}, "no port of that name; it has front"},
      {"no port at all", {}, "it has none"},
      {"another twin", {front(), other_twin}, "its twin is slb0 here and slb1 in the data plane"},
      {"no twin", {front(), no_twin}, "and none in the data plane"},
      {"another VLAN", {front(), other_vlan}, "VLAN 7 here and no VLAN in the data plane"},
      {"another card", {front(), other_card}, "02:00:00:00:00:02, the card has 02:00:00:00:00:01"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.description);
    const auto bound = bind_ports(ours(), c.theirs, mac_of);
    EXPECT_FALSE(bound[1].index);
    EXPECT_NE(bound[1].fault.find(c.says), std::string::npos) << bound[1].fault;
    EXPECT_EQ(bound[0].index.has_value(), !c.theirs.empty()) << "the other port is not concerned";
  }
}

TEST(Ports, ATwinThatIsNotThereYetIsNoFault) {
  const auto bound = bind_ports(ours(), {front(), back()}, [](const std::string&) { return std::nullopt; });
  EXPECT_EQ(bound[1].index, 1);
}

TEST(Ports, RunWithAFileWhenNamesTwinsAndVlansAreTheSameInWhateverOrder) {
  EXPECT_TRUE(runs_with(ours(), {back(), front()}));
  EXPECT_FALSE(runs_with(ours(), {front()}));
  PublishedPort other = back();
  other.name = "other";
  EXPECT_FALSE(runs_with(ours(), {front(), back(), other})) << "of an older file";
  other = back();
  other.vlan = 8;
  EXPECT_FALSE(runs_with(ours(), {front(), other}));
}

class ModelPorts : public ModelTest {};

TEST_F(ModelPorts, BackendsGoOutOfThePortThatHasTheirTwinWhereverItIs) {
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(model.desired().backends[0].port_index, 1);
  EXPECT_TRUE(model.set_ports(
      {{.name = "front", .twin = "slf0", .index = 0}, {.name = "back", .twin = "slb0", .index = 5, .vlan = 7}}))
      << "the data plane has to hear of it";
  EXPECT_EQ(model.desired().backends[0].port_index, 5);
  EXPECT_EQ(model.desired().backends[0].vlan, 7);
  EXPECT_EQ(model.desired().backends[0].flags, channel::kBackendReachable);
}

TEST_F(ModelPorts, NothingIsSentThroughAPortThatIsRefused) {
  Model model = this->model();
  bring_up(model);
  model.set_local_addresses({{"slb0", ip("10.0.1.1")}});
  EXPECT_TRUE(model.set_ports(
      {{.name = "front", .twin = "slf0", .index = 0}, {.name = "back", .twin = "slb0", .fault = "other VLAN"}}));
  model.refresh();
  const Desired desired = model.desired();
  EXPECT_EQ(desired.backends[0].flags & channel::kBackendReachable, 0);
  EXPECT_EQ(desired.backends[0].flags & channel::kBackendDown, 0) << "open flows are not cut for it";
  EXPECT_TRUE(desired.locals.empty());
  EXPECT_EQ(model.members()[0].state(), "unreachable");
  EXPECT_EQ(model.members()[0].reason(), "port back: other VLAN");
  EXPECT_TRUE(journal_says("mta/mta1:25", "unreachable (was up): port back: other VLAN"));
  EXPECT_TRUE(model.set_ports(assume_ports(config_.dataplane.ports)));
  EXPECT_EQ(model.members()[0].state(), "up");
}

TEST_F(ModelPorts, AnotherNodesAddressIsKeptForItsSessionsAlone) {
  config_.services[0].forwarding = config::Forwarding::kFullnat;
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_local_addresses({{"", ip("10.0.1.9")}}));
  model.refresh();
  EXPECT_EQ(model.members()[0].state(), "unreachable") << "no new session begins from it";
  const Desired desired = model.desired();
  ASSERT_EQ(desired.locals.size(), 1u);
  EXPECT_TRUE(desired.locals[0].of_peer);
  EXPECT_EQ(desired.locals[0].address, to_wire(ip("10.0.1.9")));
}

TEST_F(ModelPorts, AReloadedModelKeepsThemAndANewBackendOfAKnownAddressHasThem) {
  Model before = this->model();
  bring_up(before);
  before.set_ports({{.name = "back", .twin = "slb0", .index = 3}});
  add_service("submission", 587, "");
  Model after = this->model();
  after.take_over(before);
  for (const DesiredBackend& backend : after.desired().backends) EXPECT_EQ(backend.port_index, 3);
}

}  // namespace
}  // namespace sluice::control
