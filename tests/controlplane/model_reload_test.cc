// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "controlplane/model.h"
#include "tests/controlplane/model_fixture.h"

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

TEST_F(ModelReload, ANewBackendWaitsForItsFirstVerdictAndARemovedOneIsGone) {
  Model before = model();
  bring_up(before);
  config_.pools[0].backends.erase(config_.pools[0].backends.begin());
  config_.pools[0].backends.push_back({.name = "mta4", .address = *config::IpAddress::parse("10.0.1.4")});
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

}  // namespace
}  // namespace sluice::control
