// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/overrides.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/model/leaving.h"
#include "tests/controlplane/support/overrides_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using Action = Overrides::Action;

TEST_F(OverridesTest, DrainsABackendOnAllItsPortsWithoutCuttingIt) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  model_.refresh();
  for (const size_t service : {0, 1}) EXPECT_EQ(entries_of(model_, service, "mta1"), 0u);
  for (const char* label : {"mta/mta1:25", "mta/mta1:587"}) {
    EXPECT_EQ(member(label).state(), "draining");
    EXPECT_EQ(member(label).reason(), "by hand since 2027-01-15T08:00:00.000Z");
  }
  EXPECT_EQ(model_.desired().backends[0].flags, channel::kBackendReachable) << "its flows go on";
  EXPECT_TRUE(journal_says("mta/mta1", "draining by hand"));
}

TEST_F(OverridesTest, DrainsOnePortAndLeavesTheOther) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1:587"}}));
  model_.refresh();
  EXPECT_EQ(entries_of(model_, 0, "mta1"), 34u);
  EXPECT_EQ(entries_of(model_, 1, "mta1"), 0u);
}

TEST_F(OverridesTest, CutsWhatIsLeftAtTheDeadlineAndCountsIt) {
  Overrides overrides = this->overrides();
  flows_ = {{"mta/mta1:25", 5}, {"mta/mta1:587", 2}, {"mta/mta2:25", 100}};
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 600s}));
  EXPECT_EQ(overrides.flows_of("mta/mta1"), 7u);
  now_ += 299s;
  EXPECT_FALSE(overrides.tick());
  EXPECT_EQ(member("mta/mta1:25").reason(), "by hand since 2027-01-15T08:00:00.000Z, until 2027-01-15T08:10:00.000Z");
  now_ += 1s;
  EXPECT_TRUE(overrides.tick()) << "in the second half of its time, sessions are told";
  now_ += 299s;
  EXPECT_FALSE(overrides.tick());
  EXPECT_EQ(member("mta/mta1:25").state(), "draining") << "no reset before the deadline";
  EXPECT_EQ(model_.desired().backends[0].flags, channel::kBackendReachable | channel::kBackendLeaving);
  EXPECT_EQ(member("mta/mta1:25").reason(),
            "by hand since 2027-01-15T08:00:00.000Z, until 2027-01-15T08:10:00.000Z; sessions are told 421 between "
            "messages");
  EXPECT_TRUE(journal_says("mta/mta1:25", "its sessions are told 421 between messages from now on"));
  flows_["mta/mta1:25"] = 3;
  now_ += 1s;
  EXPECT_TRUE(overrides.tick());
  EXPECT_EQ(overrides.entries().at("mta/mta1").admin, Admin::kDisabled);
  EXPECT_EQ(overrides.entries().at("mta/mta1").flows_cut, 5u);
  EXPECT_EQ(model_.desired().backends[0].flags, channel::kBackendReachable | channel::kBackendCut);
  EXPECT_EQ(model_.desired().backends[1].flags, channel::kBackendReachable);
  EXPECT_TRUE(journal_says("mta/mta1", "the drain's deadline has passed: 5 flows cut"));
  EXPECT_FALSE(overrides.tick());
}

TEST_F(OverridesTest, AClockThatIsSetNeitherCutsADrainNorDrawsItOut) {
  for (const auto by : {SystemTime::duration(24h), SystemTime::duration(-24h)}) {
    Overrides overrides = this->overrides();
    must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 600s}));
    now_ += 599s + by;
    overrides.move_times(by);
    overrides.tick();
    EXPECT_EQ(member("mta/mta1:25").state(), "draining");
    Overrides restarted = this->overrides();
    restarted.restore();
    now_ += 1s;
    EXPECT_TRUE(restarted.tick()) << "as it was kept, too";
    EXPECT_EQ(member("mta/mta1:25").state(), "disabled");
    must(restarted.change({.action = Action::kEnable, .names = {"mta/mta1"}}));
  }
}

TEST_F(OverridesTest, WhatAnEarlierProcessKeptEndsWhenItSaidWhateverTheClockIsSetTo) {
  Overrides before = overrides();
  must(before.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 600s}));
  const SystemTime deadline = now_ + 600s;
  now_ += 24h;  // a machine that starts with its clock ahead
  Overrides after = overrides();
  flows_known_ = false;  // as the data plane does not say yet
  after.restore();
  now_ -= 24h;
  EXPECT_FALSE(after.move_times(-24h));
  EXPECT_EQ(after.entries().at("mta/mta1").deadline, deadline) << "a day earlier would cut at once";
  flows_known_ = true;
  now_ += 599s;
  after.tick();
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
  must(after.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 600s}));
  after.move_times(1h);
  EXPECT_EQ(after.entries().at("mta/mta1").deadline, now_ + 600s + 1h) << "said anew, to this process";
}

TEST_F(OverridesTest, TellsSessionsInTheLastPartOfADrain) {
  struct {
    std::chrono::seconds deadline, told_after;
  } const cases[] = {{0s, 0s}, {30s, 0s}, {60s, 0s}, {90s, 30s}, {120s, 60s}, {600s, 300s}, {7200s, 3600s}};
  for (const auto& each : cases) {
    SCOPED_TRACE(each.deadline.count());
    EXPECT_EQ(leaving_from(now_, now_ + each.deadline), now_ + each.told_after);
  }
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 45s}));
  const auto is_told = [&] { return (model_.desired().backends[0].flags & channel::kBackendLeaving) != 0; };
  EXPECT_TRUE(is_told()) << "at once, where there is but a minute";
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  EXPECT_FALSE(is_told()) << "there is no end";
  now_ += 100'000s;
  EXPECT_FALSE(overrides.tick());
  EXPECT_FALSE(is_told());
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 45s}));
  EXPECT_TRUE(is_told());
  must(overrides.change({.action = Action::kEnable, .names = {"mta/mta1"}}));
  EXPECT_FALSE(is_told());
}

TEST_F(OverridesTest, WaitsWithTheCutUntilTheDataPlaneSaysWhatIsThere) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}, .deadline = 1s}));
  flows_known_ = false;
  now_ += 60s;
  EXPECT_FALSE(overrides.tick());
  flows_known_ = true;
  flows_ = {{"mta/mta1:25", 4}};
  EXPECT_TRUE(overrides.tick());
  EXPECT_EQ(overrides.entries().at("mta/mta1").flows_cut, 4u);
}

TEST_F(OverridesTest, SaysOnceThatADrainIsDone) {
  Overrides overrides = this->overrides();
  flows_ = {{"mta/mta1:25", 1}};
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  overrides.tick();
  EXPECT_FALSE(journal_says("mta/mta1", "no flow is left"));
  flows_.clear();
  overrides.tick();
  EXPECT_TRUE(journal_says("mta/mta1", "drained: no flow is left"));
  const size_t entries = journal_.entries().size();
  overrides.tick();
  EXPECT_EQ(journal_.entries().size(), entries);
}

TEST_F(OverridesTest, DisablesAtOnceAndEnablesAgain) {
  Overrides overrides = this->overrides();
  flows_ = {{"mta/mta1:25", 9}};
  must(overrides.change({.action = Action::kDisable, .names = {"mta/mta1"}}));
  EXPECT_EQ(overrides.entries().at("mta/mta1").flows_cut, 9u);
  EXPECT_EQ(model_.desired().backends[0].flags & channel::kBackendCut, channel::kBackendCut);
  EXPECT_EQ(member("mta/mta1:25").state(), "disabled");
  must(overrides.change({.action = Action::kEnable, .names = {"mta/mta1"}}));
  EXPECT_EQ(model_.desired().backends[0].flags, channel::kBackendReachable);
  EXPECT_EQ(member("mta/mta1:25").state(), "up");
  EXPECT_TRUE(overrides.entries().empty());
}

TEST_F(OverridesTest, TheStricterOfBackendAndPortCounts) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  must(overrides.change({.action = Action::kDisable, .names = {"mta/mta1:25"}}));
  EXPECT_EQ(member("mta/mta1:25").state(), "disabled");
  EXPECT_EQ(member("mta/mta1:587").state(), "draining");
  const auto refused = overrides.change({.action = Action::kEnable, .names = {"mta/mta1:25"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), "mta/mta1 is draining on all its ports; enable it as a whole first");
  EXPECT_EQ(member("mta/mta1:25").state(), "disabled") << "a refused change changes nothing";
  must(overrides.change({.action = Action::kEnable, .names = {"mta/mta1"}}));
  EXPECT_EQ(member("mta/mta1:25").state(), "up") << "all its ports";
}

TEST_F(OverridesTest, AWeightStandsInForTheFilesUntilItIsCleared) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kWeight, .names = {"mta/mta1"}, .weight = 200}));
  must(overrides.change({.action = Action::kWeight, .names = {"mta/mta1:587"}, .weight = 0}));
  model_.refresh();
  EXPECT_EQ(entries_of(model_, 0, "mta1"), 51u);
  EXPECT_EQ(entries_of(model_, 1, "mta1"), 0u);
  must(overrides.change({.action = Action::kWeight, .names = {"mta/mta1"}}));
  model_.refresh();
  EXPECT_EQ(entries_of(model_, 0, "mta1"), 34u);
  must(overrides.change({.action = Action::kClear, .names = {"mta/mta1"}}));
  model_.refresh();
  EXPECT_EQ(entries_of(model_, 1, "mta1"), 34u) << "its ports' changes go with it";
}

TEST_F(OverridesTest, EnablingKeepsTheWeightByHand) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kWeight, .names = {"mta/mta1"}, .weight = 7}));
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  must(overrides.change({.action = Action::kEnable, .names = {"mta/mta1"}}));
  EXPECT_EQ(overrides.entries().at("mta/mta1").weight, 7u);
  EXPECT_EQ(overrides.entries().at("mta/mta1").admin, Admin::kEnabled);
}

TEST_F(OverridesTest, SurvivesARestart) {
  {
    Overrides overrides = this->overrides();
    must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1", "mta/mta2:25"}, .deadline = 600s}));
    must(overrides.change({.action = Action::kWeight, .names = {"mta/mta3"}, .weight = 1}));
  }
  Model model = this->model();
  bring_up(model);
  Overrides overrides(config_, model, journal_, [](const Member&) { return 3; }, directory_.path());
  overrides.restore();
  model.refresh();
  EXPECT_EQ(model.members()[0].state(), "draining");
  EXPECT_EQ(model.members()[1].state(), "draining");
  EXPECT_EQ(entries_of(model, 0, "mta3"), 101u);
  EXPECT_EQ(effective_weight(model.members()[2].factors()), 1);
  now_ += 600s;
  EXPECT_TRUE(overrides.tick()) << "the deadline is kept too";
  EXPECT_EQ(model.members()[0].state(), "disabled");
}

TEST_F(OverridesTest, SurvivesAReloadAndComesBackWithABackendThatWasAway) {
  Overrides overrides = this->overrides();
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  const config::Config whole = config_;
  for (const bool away : {true, false}) {
    config_ = whole;
    if (away) config_.pools[0].backends.erase(config_.pools[0].backends.begin());
    Model next = model();
    next.take_over(model_);
    model_ = std::move(next);
    overrides.apply();
    EXPECT_EQ(std::ranges::count_if(model_.members(), [](const Member& member) { return !member.removal; }),
              away ? 4 : 6);
    EXPECT_TRUE(overrides.entries().contains("mta/mta1"));
  }
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
  add_service("submissions", 465, "");
  Model next = model();
  next.take_over(model_);
  model_ = std::move(next);
  overrides.apply();
  EXPECT_EQ(member("mta/mta1:465").admin, Admin::kDraining) << "a port that is new, too";
}

TEST_F(OverridesTest, SetsAStateFileAsideThatMakesNoSense) {
  directory_.write("by-hand.json", "{\"version\": 1, \"back");
  Overrides overrides = this->overrides();
  overrides.restore();
  EXPECT_TRUE(overrides.entries().empty());
  EXPECT_TRUE(journal_says("state", "changes by hand are lost: "));
  EXPECT_EQ(directory_.read("by-hand.json.unreadable"), "{\"version\": 1, \"back");
  must(overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}}));
  EXPECT_TRUE(by_hand_from(directory_.read("by-hand.json")));
}

TEST_F(OverridesTest, TakesEffectButWarnsWhenItCannotBeKept) {
  std::filesystem::create_directory(directory_.file("by-hand.json.new"));
  Overrides overrides = this->overrides();
  const auto done = overrides.change({.action = Action::kDrain, .names = {"mta/mta1"}});
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->starts_with("in effect, but gone with the next start of control: cannot write ")) << *done;
  EXPECT_EQ(member("mta/mta1:25").state(), "draining");
}

TEST_F(OverridesTest, PausesResumesAndRollsBackAWarmUp) {
  now_ = std::chrono::sys_days(std::chrono::year(2026) / 12 / 11);
  config_.pools[0].backends[0].warm_up = config::WarmUp{
      .start = std::chrono::sys_days(std::chrono::year(2026) / 12 / 1), .days = 20, .from = 0.5, .table = {}};
  Model next = model();
  next.take_over(model_);
  model_ = std::move(next);
  Overrides overrides = this->overrides();
  overrides.restore();
  EXPECT_EQ(member("mta/mta1:25").warm_up, (Factor{0.75, "day 11 of 20"}));
  must(overrides.change({.action = Action::kPause, .names = {"mta/mta1"}}));
  now_ += std::chrono::days(4);
  overrides.tick();
  EXPECT_EQ(member("mta/mta1:25").warm_up, (Factor{0.75, "paused by hand on day 11 of 20"}));
  must(overrides.change({.action = Action::kResume, .names = {"mta/mta1"}}));
  EXPECT_EQ(member("mta/mta1:587").warm_up.reason, "day 11 of 20");
  must(overrides.change({.action = Action::kRollBack, .names = {"mta/mta1"}, .days = 10}));
  EXPECT_EQ(member("mta/mta1:25").warm_up, (Factor{0.5, "day 1 of 20"}));
  EXPECT_EQ(overrides.change({.action = Action::kPause, .names = {"mta/mta2"}}).error(),
            "mta/mta2 has no warm_up in the configuration");
  EXPECT_EQ(overrides.change({.action = Action::kPause, .names = {"mta/mta1:25"}}).error(),
            "a warm-up is of a backend on all its ports; leave out the port");
  EXPECT_EQ(overrides.entries().size(), 1u) << "what was refused left nothing behind";
}

}  // namespace
}  // namespace sluice::control
