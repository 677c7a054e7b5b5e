// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "controlplane/model/model.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

class ModelReload : public ModelTest {
 protected:
  /// The model of the configuration as it is now, which goes on where `before` stands.
  Model reload(const Model& before) {
    Model next = model();
    next.take_over(before);
    next.refresh();
    return next;
  }
};

TEST_F(ModelReload, KeepsEverythingWhenNothingChanged) {
  Model before = model();
  bring_up(before);
  before.set_health(1, Health::kDown, "dead at connect");
  before.set_admin(2, Admin::kDraining);
  before.refresh();
  now_ += std::chrono::seconds(60);
  const Model after = reload(before);
  EXPECT_EQ(after.desired().backends, before.desired().backends);
  EXPECT_EQ(after.desired().services, before.desired().services) << "the same table object, so nothing is sent";
  EXPECT_EQ(after.members()[1].since, before.members()[1].since);
  EXPECT_EQ(after.members()[1].reason(), "dead at connect");
  EXPECT_EQ(after.placements()[0].since, before.placements()[0].since);
}

TEST_F(ModelReload, AWeightChangesTheTableAndNotWhatIsKnown) {
  Model before = model();
  bring_up(before);
  config_.pools[0].backends[0].weight = 200;
  const Model after = reload(before);
  EXPECT_EQ(entries_of(after, 0, "mta1"), 51u);
  EXPECT_EQ(after.members()[0].state(), "up");
  EXPECT_EQ(after.members()[0].key, before.members()[0].key);
  EXPECT_EQ(after.members()[0].weight, 200u);
  EXPECT_EQ(entries_of(before, 0, "mta1"), 34u) << "the model before is as it was";
}

TEST_F(ModelReload, ANewBackendWaitsForItsFirstVerdictAndARemovedOneIsGoneWhereToldSo) {
  Model before = model();
  bring_up(before);
  config_.pools[0].on_removal = config::OnRemoval::kReset;
  config_.pools[0].backends.erase(config_.pools[0].backends.begin());
  config_.pools[0].backends.push_back({.name = "mta4", .address = ip("10.0.1.4")});
  Model after = reload(before);
  EXPECT_EQ(after.members().size(), 3u);
  EXPECT_EQ(after.members()[2].state(), "unreachable");
  EXPECT_EQ(entries_of(after, 0, "mta2") + entries_of(after, 0, "mta3"), 101u);
  after.set_health(2, Health::kUp, "healthy");
  after.set_next_hop(2, kHop);
  after.refresh();
  EXPECT_EQ(entries_of(after, 0, "mta4"), 33u);
}

TEST_F(ModelReload, ABackendOnANewPortHasTheNextHopOfItsAddressAtOnce) {
  Model before = model();
  bring_up(before);
  add_service("submission", 587, "");
  const Model after = reload(before);
  EXPECT_EQ(after.members()[4].port, 587);
  EXPECT_EQ(after.members()[4].next_hop, kHop);
  EXPECT_EQ(after.members()[4].state(), "checking");
}

TEST_F(ModelReload, AnotherCheckPresumesTheHealthOfTheOneBefore) {
  Model before = model();
  bring_up(before);
  before.set_health(2, Health::kDown, "dead at connect");
  before.refresh();
  config_.pools[0].check = "submission";
  Model after = reload(before);
  EXPECT_EQ(after.members()[0].state(), "checking");
  EXPECT_EQ(after.members()[0].reason(), "not checked yet");
  EXPECT_EQ(entries_of(after, 0, "mta1"), 51u);
  EXPECT_EQ(entries_of(after, 0, "mta3"), 0u) << "what was down has to prove itself";
  EXPECT_TRUE(after.set_health(0, Health::kDown, "no STARTTLS"));
}

TEST_F(ModelReload, DroppingTheCheckMakesHealthy) {
  Model before = model();
  bring_up(before);
  before.set_health(0, Health::kDown, "dead");
  config_.pools[0].check = "";
  const Model after = reload(before);
  EXPECT_EQ(after.members()[0].state(), "up");
  EXPECT_EQ(after.members()[0].reason(), "not checked");
}

TEST_F(ModelReload, AnotherOrderOfBackendsPlacesTheSame) {
  Model before = model();
  bring_up(before);
  std::ranges::reverse(config_.pools[0].backends);
  const Model after = reload(before);
  const Table& a = *before.desired().services[0].table;
  const Table& b = *after.desired().services[0].table;
  for (size_t i = 0; i < a.entries.size(); i++) {
    ASSERT_EQ(a.members[a.entries[i]], b.members[b.entries[i]]) << "entry " << i;
  }
}

/// Key of each member of the file, by endpoint and check.
std::map<std::string, uint64_t> keys(const Model& model) {
  std::map<std::string, uint64_t> out;
  for (const Member& member : model.members()) {
    if (member.removal) continue;
    out[member.address.to_string() + ":" + std::to_string(member.port) + " " + member.check] = member.key;
  }
  return out;
}

TEST_F(ModelReload, AnotherNameOfPoolBackendServiceAndCheckIsTheSameBackend) {
  Model before = model();
  bring_up(before);
  before.set_health(2, Health::kDown, "dead at connect");
  config_.pools[0].name = "mx";
  config_.pools[0].check = "hello";
  config_.checks[0].name = "hello";
  for (config::Backend& backend : config_.pools[0].backends) backend.name = "new-" + backend.name;
  config_.services[0].pool = "mx";
  config_.services[0].name = "mail";
  const Model after = reload(before);
  ASSERT_EQ(after.members().size(), 3u) << "nothing has left";
  EXPECT_TRUE(after.removed_services().empty());
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(after.members()[i].key, before.members()[i].key);
    EXPECT_EQ(after.members()[i].label(), "mx/new-mta" + std::to_string(i + 1) + ":25");
  }
  EXPECT_TRUE(after.members()[0].is_usable()) << "presumed until its first verdict";
  EXPECT_FALSE(after.members()[2].is_usable()) << "what was down has to prove itself";
  EXPECT_TRUE(after.placements()[0].in_service);
}

TEST_F(ModelReload, AnotherOrderOfServicesUnderSeveralChecksIsTheSame) {
  config_.services[0].check = "relay";
  add_service("partner", 26, "submission");
  config_.services[1].vip = ip("192.0.2.26");
  config_.services[1].port = 25;
  Model before = model();
  bring_up(before);
  std::ranges::reverse(config_.services);
  const Model after = reload(before);
  EXPECT_EQ(keys(after), keys(before));
  std::set<std::string> labels_before, labels_after;
  for (const Member& member : before.members()) labels_before.insert(member.label());
  for (const Member& member : after.members()) labels_after.insert(member.label());
  EXPECT_EQ(labels_after, labels_before) << "figures keep their names";
  EXPECT_TRUE(labels_after.contains("mta/mta1:25") && labels_after.contains("mta/mta1:25 (submission)"));
  // What one of the two checks had goes on draining; the other's flows are not touched.
  config_.services.pop_back();
  const Model without = reload(after);
  EXPECT_EQ(keys(without)["10.0.1.1:25 submission"], keys(before)["10.0.1.1:25 submission"]);
  EXPECT_EQ(without.members().size(), 6u);
  EXPECT_EQ(without.members()[3].state(), "removed, draining");
  EXPECT_EQ(without.members()[3].key, keys(before)["10.0.1.1:25 relay"]);
}

TEST_F(ModelReload, ABackendThatMovesToAnotherPoolAndBackIsTheSame) {
  config_.pools.push_back({.name = "other", .check = "relay", .backends = {config_.pools[0].backends[2]}});
  config_.pools[1].backends[0].address = ip("10.0.1.9");
  add_service("submission", 25, "");
  config_.services[1].vip = ip("192.0.2.26");
  config_.services[1].pool = "other";
  Model before = model();
  bring_up(before);
  auto& from = config_.pools[0].backends;
  config_.pools[1].backends.push_back(from[0]);
  from.erase(from.begin());
  const Model moved = reload(before);
  EXPECT_EQ(keys(moved), keys(before));
  EXPECT_EQ(moved.members().size(), 4u) << "none drains";
  // The name that is free comes back, at the same endpoint, in its old pool as well: two backends, two keys.
  from.insert(from.begin(), config_.pools[1].backends[1]);
  const Model both = reload(moved);
  std::set<uint64_t> all;
  for (const Member& member : both.members()) all.insert(member.key);
  EXPECT_EQ(all.size(), 5u);
  EXPECT_TRUE(all.contains(before.members()[0].key));
}

TEST_F(ModelReload, WhatLeavesTheFileDrainsUntilItIsEmptyOrItsDeadline) {
  Model before = model();
  bring_up(before);
  config_.pools[0].removal_deadline = std::chrono::seconds(60);
  config_.pools[0].backends.pop_back();
  Model after = reload(before);
  ASSERT_EQ(after.members().size(), 3u);
  const std::string label = "mta/mta3:25 (removed: 10.0.1.3, relay)";
  EXPECT_EQ(after.members()[2].label(), label);
  EXPECT_EQ(after.members()[2].state(), "removed, draining");
  const DesiredBackend sent = after.desired().backends[2];
  EXPECT_EQ(sent.key, before.members()[2].key);
  EXPECT_EQ(sent.flags, channel::kBackendReachable | channel::kBackendLeaving) << "its flows go on, and hear of it";
  EXPECT_EQ(entries_of(after, 0, "mta1") + entries_of(after, 0, "mta2"), 101u) << "and new ones elsewhere";
  EXPECT_TRUE(journal_says(label, "left its pool"));
  EXPECT_TRUE(after.set_next_hop(2, std::unexpected("gone"))) << "its way is followed";
  std::optional<uint64_t> flows = 2;
  const FlowCounts counts{[&](const Member&) { return flows; }, [&](const ServiceState&) { return flows; }};
  now_ += std::chrono::seconds(59);
  EXPECT_FALSE(after.end_removals(counts));
  flows.reset();
  now_ += std::chrono::seconds(59);
  EXPECT_FALSE(after.end_removals(counts)) << "while nobody knows, nothing is cut";
  flows = 2;
  EXPECT_TRUE(after.end_removals(counts));
  EXPECT_EQ(after.members().size(), 2u);
  EXPECT_TRUE(journal_says(label, "2 sessions cut"));
}

TEST_F(ModelReload, WhatLeavesTheFileHasItsTimeWhateverTheClockIsSetTo) {
  Model before = model();
  bring_up(before);
  config_.pools[0].removal_deadline = std::chrono::seconds(60);
  config_.pools[0].backends.pop_back();
  Model after = reload(before);
  const FlowCounts counts{[](const Member&) { return 2; }, [](const ServiceState&) { return 2; }};
  for (const auto by : {std::chrono::hours(24), std::chrono::hours(-48)}) {
    now_ += by;
    after.move_times(by);
    now_ += std::chrono::seconds(29);
    EXPECT_FALSE(after.end_removals(counts));
  }
  now_ += std::chrono::seconds(2);
  EXPECT_TRUE(after.end_removals(counts));
}

TEST_F(ModelReload, SessionsOfWhatDrainsAreToldInTheLastPartOfItsTime) {
  Model before = model();
  bring_up(before);
  const config::Backend left = config_.pools[0].backends[2];
  config_.pools[0].backends.pop_back();
  Model after = reload(before);
  const auto flags_of = [](const Model& model) { return model.desired().backends[2].flags; };
  now_ += std::chrono::seconds(299);
  EXPECT_FALSE(after.tell_removed());
  EXPECT_EQ(flags_of(after), channel::kBackendReachable);
  now_ += std::chrono::seconds(1);
  EXPECT_TRUE(after.tell_removed());
  EXPECT_FALSE(after.tell_removed());
  EXPECT_EQ(flags_of(after), channel::kBackendReachable | channel::kBackendLeaving);
  EXPECT_EQ(after.desired().backends[0].flags, channel::kBackendReachable);
  EXPECT_TRUE(after.members()[2].reason().ends_with("; sessions are told 421 between messages"));
  Model anew = reload(after);
  EXPECT_EQ(flags_of(anew), channel::kBackendReachable | channel::kBackendLeaving) << "over a reload, too";
  config_.pools[0].backends.push_back(left);
  const Model again = reload(anew);
  EXPECT_EQ(flags_of(again), channel::kBackendReachable) << "it stays after all";
}

TEST_F(ModelReload, ADrainOfTheNodeTellsThoseOfAllBackends) {
  Model before = model();
  bring_up(before);
  EXPECT_TRUE(before.set_node_leaving(true));
  EXPECT_FALSE(before.set_node_leaving(true));
  const Model after = reload(before);
  for (const DesiredBackend& backend : after.desired().backends)
    EXPECT_EQ(backend.flags, channel::kBackendReachable | channel::kBackendLeaving);
  EXPECT_TRUE(journal_says("drain", "all sessions are told 421 between messages"));
  EXPECT_TRUE(before.set_node_leaving(false));
  EXPECT_EQ(before.desired().backends[0].flags, channel::kBackendReachable);
}

TEST_F(ModelReload, WhatDrainsWithoutAFlowIsForgottenAfterAWhile) {
  Model before = model();
  bring_up(before);
  config_.pools[0].backends.pop_back();
  Model after = reload(before);
  uint64_t flows = 0;
  const FlowCounts counts{[&](const Member&) { return flows; }, [&](const ServiceState&) { return flows; }};
  EXPECT_FALSE(after.end_removals(counts)) << "the ends of the last ones have to pass by";
  flows = 1;
  now_ += std::chrono::seconds(6);
  EXPECT_FALSE(after.end_removals(counts));
  flows = 0;
  EXPECT_FALSE(after.end_removals(counts));
  now_ += std::chrono::seconds(6);
  EXPECT_TRUE(after.end_removals(counts));
  EXPECT_EQ(after.members().size(), 2u);
  EXPECT_TRUE(journal_says("mta/mta3:25 (removed: 10.0.1.3, relay)", "no session is left"));
}

TEST_F(ModelReload, ABackendThatComesBackWhileItDrainsIsTakenOver) {
  Model before = model();
  bring_up(before);
  const config::Backend left = config_.pools[0].backends[2];
  config_.pools[0].backends.pop_back();
  Model without = reload(before);
  config_.pools[0].backends.push_back(left);
  config_.pools[0].backends[2].name = "back";
  const Model again = reload(without);
  ASSERT_EQ(again.members().size(), 3u);
  EXPECT_EQ(again.members()[2].key, before.members()[2].key);
  EXPECT_EQ(again.members()[2].state(), "up");
  EXPECT_TRUE(journal_says("mta/back:25", "is in its pool again"));
}

TEST_F(ModelReload, TheRuleOfRemovalIsThatOfTheNewFileAndThatOfTheOldWhereThePoolIsGone) {
  Model before = model();
  bring_up(before);
  config_.pools[0].backends.pop_back();
  Model draining = reload(before);
  EXPECT_EQ(draining.members().size(), 3u);
  config_.pools[0].on_removal = config::OnRemoval::kReset;
  Model reset = reload(draining);
  EXPECT_EQ(reset.members().size(), 2u) << "what drains is told so too";
  config_.pools[0].name = "other";
  config_.pools[0].on_removal = config::OnRemoval::kDrain;
  config_.services[0].pool = "other";
  for (config::Backend& backend : config_.pools[0].backends) backend.address = ip("10.0.1.77");
  config_.pools[0].backends.pop_back();
  EXPECT_EQ(reload(reset).members().size(), 1u);
}

TEST_F(ModelReload, AServiceThatLeavesTheFileIsRetiredAndOneOfTheSameEndpointIsTheSame) {
  add_service("submission", 587, "");
  Model before = model();
  bring_up(before);
  const config::Service left = config_.services[1];
  config_.services.pop_back();
  Model after = reload(before);
  ASSERT_EQ(after.removed_services().size(), 1u);
  Desired desired = after.desired();
  ASSERT_EQ(desired.services.size(), 2u);
  EXPECT_EQ(desired.services[1].key, before.services()[1].key);
  EXPECT_TRUE(desired.services[1].table->entries.empty()) << "no new flows";
  EXPECT_EQ(after.members().size(), 6u) << "its backends drain with it";
  EXPECT_TRUE(journal_says("submission", "left the file"));
  config_.services.push_back(left);
  config_.services[1].name = "again";
  const Model again = reload(after);
  EXPECT_TRUE(again.removed_services().empty());
  EXPECT_EQ(again.members().size(), 6u);
  EXPECT_TRUE(journal_says("again", "is in the file again"));
}

TEST_F(ModelReload, WhatDrainsIsForgottenWhereTheDataPlaneDoesNotHaveIt) {
  add_service("submission", 587, "");
  Model before = model();
  bring_up(before);
  config_.services.pop_back();
  Model after = reload(before);
  KnownKeys known;
  for (const Member& member : before.members()) known.backends.insert(member.key);
  for (const ServiceState& service : before.services()) known.services.insert(service.key);
  EXPECT_EQ(after.meet(known), 3u);
  EXPECT_EQ(after.members().size(), 6u);
  EXPECT_EQ(after.removed_services().size(), 1u);
  EXPECT_EQ(after.meet({}), 0u);
  EXPECT_EQ(after.members().size(), 3u);
  EXPECT_TRUE(after.removed_services().empty());
}

TEST_F(ModelReload, AnotherForwardingLeavesTheWayOfOpenFlows) {
  Model before = model();
  bring_up(before);
  config_.services[0].forwarding = config::Forwarding::kFullnat;
  const Model after = reload(before);
  EXPECT_EQ(entries_of(after, 0, "mta1"), 0u) << "no address of ours to speak from: no new flow";
  EXPECT_NE(after.desired().backends[0].flags & channel::kBackendReachable, 0) << "those that are open go on";
}

TEST_F(ModelReload, WhatDoesNotFitBesideWhatDrainsIsSaidToBeTooMuch) {
  const auto fill = [&](uint32_t from) {
    config_.pools[0].backends.clear();
    for (uint32_t i = 0; i < 9000; i++) {
      config::Backend backend;
      backend.name = "b" + std::to_string(from + i);
      backend.address = ip("10.1." + std::to_string(from / 250 + i / 250) + "." + std::to_string(1 + i % 250));
      config_.pools[0].backends.push_back(backend);
    }
  };
  fill(0);
  const Model before = model();
  EXPECT_EQ(before.id_fault(), "");
  fill(9000);
  Model after = model();
  after.take_over(before);
  EXPECT_NE(after.id_fault().find("9000 backends of the file, and 9000 that left it"), std::string::npos)
      << after.id_fault();
  uint64_t asked = 0;
  after.forget_idle_removals({[&](const Member&) { return asked++ % 9 == 0 ? 1 : 0; }, {}});
  EXPECT_EQ(after.id_fault(), "") << "what has no flow makes room";
  EXPECT_EQ(after.members().size(), 10000u);
}

}  // namespace
}  // namespace sluice::control
