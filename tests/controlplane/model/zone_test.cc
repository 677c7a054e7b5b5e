// SPDX-License-Identifier: Apache-2.0
//
// Backends of our own zone first; those of others get what it cannot carry, and never more than their weight.
#include "controlplane/weights/zone.h"

#include <gtest/gtest.h>

#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

TEST(ZoneFactor, IsNothingWhileTheOwnZoneCanCarryAll) {
  EXPECT_EQ(other_zones_factor({.own_meant = 300, .own_usable = 300, .other_usable = 300}, 1.4), 0);
  EXPECT_EQ(other_zones_factor({.own_meant = 300, .own_usable = 215, .other_usable = 300}, 1.4), 0)
      << "above 300 / 1.4";
  EXPECT_GT(other_zones_factor({.own_meant = 300, .own_usable = 213, .other_usable = 300}, 1.4), 0);
}

TEST(ZoneFactor, SendsAwayWhatIsBeyondTheHeadroom) {
  // A third left carries 1.4 thirds of all; the rest goes elsewhere.
  const ZoneWeights third{.own_meant = 300, .own_usable = 100, .other_usable = 1000};
  const double elsewhere = other_zones_factor(third, 1.4) * third.other_usable;
  EXPECT_NEAR(third.own_usable / (third.own_usable + elsewhere), 1.4 / 3, 1e-9);
  EXPECT_EQ(other_zones_factor(third, 3), 0);
}

TEST(ZoneFactor, LoadsNobodyMoreThanItsWeight) {
  EXPECT_EQ(other_zones_factor({.own_meant = 1000, .own_usable = 10, .other_usable = 10}, 1.4), 1);
}

TEST(ZoneFactor, IsOneWhereThereIsNothingToShare) {
  EXPECT_EQ(other_zones_factor({.own_meant = 300, .own_usable = 0, .other_usable = 300}, 1.4), 1);
  EXPECT_EQ(other_zones_factor({.own_meant = 0, .own_usable = 0, .other_usable = 0}, 1.4), 1);
  EXPECT_EQ(other_zones_factor({.own_meant = 0, .own_usable = 100, .other_usable = 100}, 1), 0);
}

class ZoneTest : public ModelTest {
 protected:
  /// Four backends of weight 100: two in zone "a", two in "b".
  ZoneTest() {
    config::Backend fourth = config_.pools[0].backends[0];
    fourth.name = "mta4";
    fourth.address = ip("10.0.1.4");
    config_.pools[0].backends.push_back(fourth);
    for (size_t i = 0; i < 4; i++) config_.pools[0].backends[i].zone = i < 2 ? "a" : "b";
  }
  Model all_up(const std::string& own) {
    config_.fleet.zone = own;
    Model out = model();
    bring_up(out);
    return out;
  }
  /// Of the weight in the table, what the members of zone "b" have.
  static double share_of_b(const Model& model) {
    double all = 0, of_b = 0;
    const Placement& placement = model.placements().front();
    for (size_t i = 0; i < placement.members.size(); i++) {
      all += placement.table_weights[i];
      if (model.members()[placement.members[i]].zone == "b") of_b += placement.table_weights[i];
    }
    return of_b / all;
  }
};

TEST_F(ZoneTest, OwnZoneTakesEverythingAndOthersWait) {
  EXPECT_EQ(share_of_b(all_up("a")), 0);
  EXPECT_EQ(share_of_b(all_up("b")), 1);
  EXPECT_EQ(share_of_b(all_up("")), 0.5) << "a node in no zone";
  EXPECT_EQ(share_of_b(all_up("c")), 0.5) << "a zone without a backend";
  config_.pools[0].backends[2].zone = "";
  const Model near = all_up("a");
  EXPECT_EQ(share_of_b(near), 0);
  EXPECT_GT(entries_of(near, 0, "mta3"), 0U) << "in no zone: as near as our own";
}

TEST_F(ZoneTest, OthersTakeWhatTheOwnZoneCannot) {
  Model model = all_up("a");
  model.set_health(0, Health::kDown, "refused");
  model.refresh();
  EXPECT_NEAR(share_of_b(model), 1 - 1.4 / 2, 0.01);
  const auto factors = model.members()[2].explained_factors();
  const auto zone = std::ranges::find(factors, "zone", &NamedFactor::name);
  ASSERT_NE(zone, factors.end());
  EXPECT_EQ(zone->reason, "in zone b, and a is short: 100 of 200 weight left");
  model.set_health(1, Health::kDown, "refused");
  model.refresh();
  EXPECT_EQ(share_of_b(model), 1);
  EXPECT_TRUE(model.placements().front().in_service);
  model.set_health(0, Health::kUp, "healthy");
  model.set_health(1, Health::kUp, "healthy");
  model.refresh();
  EXPECT_EQ(share_of_b(model), 0);
}

class FullZoneTest : public ZoneTest {
 protected:
  /// Of ten connections, each member has as many open as `open_` says.
  FullZoneTest() {
    for (config::Backend& backend : config_.pools[0].backends) backend.max_connections = 10;
  }
  bool note(Model& model) {
    const bool changed = model.note_fullness(
        {.of_member = [&](const Member& member) { return std::optional(open_[member.name]); }, .of_service = {}});
    model.refresh();
    return changed;
  }
  std::map<std::string, uint64_t> open_;
};

TEST_F(FullZoneTest, OthersTakeWhatAFullZoneCannot) {
  Model model = all_up("a");
  open_ = {{"mta1", 8}, {"mta2", 8}};
  EXPECT_FALSE(note(model));
  EXPECT_EQ(share_of_b(model), 0);
  open_ = {{"mta1", 9}, {"mta2", 9}};
  EXPECT_TRUE(note(model));
  EXPECT_EQ(share_of_b(model), 0.5) << "as without zones: nobody gets more than its weight";
  EXPECT_EQ(model.members()[2].zone_factor.reason,
            "in zone b, and a is short: 0 of 200 weight left; 2 of its backends near max_connections");
  EXPECT_FALSE(note(model)) << "that is known";
  open_ = {{"mta1", 7}, {"mta2", 9}};
  note(model);
  now_ += Fullness::kHold;
  EXPECT_TRUE(note(model));
  EXPECT_GT(share_of_b(model), 0);
  EXPECT_LT(share_of_b(model), 0.5) << "one of two has room";
  open_ = {{"mta1", 7}, {"mta2", 1}};
  note(model);
  now_ += Fullness::kHold;
  EXPECT_TRUE(note(model));
  EXPECT_EQ(share_of_b(model), 0);
}

TEST_F(FullZoneTest, ANodeInNoZoneHasNoOther) {
  Model model = all_up("");
  open_ = {{"mta1", 10}, {"mta2", 10}};
  EXPECT_FALSE(note(model));
  EXPECT_EQ(share_of_b(model), 0.5);
}

TEST_F(FullZoneTest, AReloadKeepsWhoIsFull) {
  Model before = all_up("a");
  open_ = {{"mta1", 10}, {"mta2", 10}};
  note(before);
  Model after = model();
  after.take_over(before);
  after.refresh();
  EXPECT_EQ(share_of_b(after), 0.5);
}

TEST_F(ZoneTest, ZonesAreWithinATier) {
  config_.pools[0].backends[2].tier = 1;
  config_.pools[0].backends[3].tier = 1;
  EXPECT_EQ(share_of_b(all_up("b")), 0) << "its tier is a spare, whatever the zone";
}

}  // namespace
}  // namespace sluice::control
