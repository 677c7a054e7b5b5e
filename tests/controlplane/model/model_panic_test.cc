// SPDX-License-Identifier: Apache-2.0
//
// What the model makes of members that fail and are held, and of checks that cannot be run.
#include <gtest/gtest.h>

#include <algorithm>

#include "controlplane/model/model.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

TEST_F(ModelTest, AHeldBackendGoesOnAsBeforeByItsLastNextHop) {
  Model model = this->model();
  bring_up(model);
  const auto table = model.desired().services[0].table;
  const Desired before = model.desired();
  const Reachability lost = std::unexpected("no answer to ARP or ND from 10.0.1.2 on slb0");
  const Judgement::Found dead{Health::kDown, "dead at connect: no answer within 3 s"};
  EXPECT_FALSE(model.judge(1, {dead, lost, Standing::kHeld, "3 of 3 backends fail at once"}))
      << "nothing for the data plane to hear of";
  model.refresh();
  EXPECT_EQ(model.desired().services[0].table, table);
  EXPECT_EQ(model.desired().backends[1], before.backends[1]);
  EXPECT_TRUE(model.placements()[0].in_service);
  EXPECT_EQ(model.members()[1].state(), "held");
  EXPECT_EQ(model.members()[1].reason(),
            "dead at connect: no answer within 3 s; goes on as before: 3 of 3 backends fail at once");
  EXPECT_TRUE(model.judge(1, {.found = {}, .next_hop = {}, .standing = Standing::kOut, .why = ""}));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta2"), 0u);
  EXPECT_EQ(model.desired().backends[1].flags, 0) << "unreachable, and not cut";
}

TEST_F(ModelTest, TellsOfPanicAndItsEndOnce) {
  Model model = this->model();
  bring_up(model);
  const PoolPanic panic{"3 of 3 backends fail at once", "ends when no more than 1 of 3 fails", now_, now_};
  for (int i = 0; i < 2; i++) model.set_panic(0, panic);
  model.refresh();
  EXPECT_EQ(model.placements()[0].reason,
            "3 of 3 backends usable, min_healthy 0; panic: 3 of 3 backends fail at once; "
            "ends when no more than 1 of 3 fails");
  model.set_panic(0, std::nullopt);
  const auto told = std::ranges::count_if(journal_.entries(), [](const JournalEntry& entry) {
    return entry.subject == "mta:25 (relay)" && entry.text.find("panic") != std::string::npos;
  });
  EXPECT_EQ(told, 2);
}

TEST_F(ModelTest, MinHealthyAsksForBetterThanThoseThatNobodyElseIsLeftFor) {
  config_.pools[0].min_healthy = 2;
  Model model = this->model();
  bring_up(model);
  const Judgement::Found refused{Health::kDown, "refused at greeting: 554"};
  for (size_t i = 0; i < 3; i++) model.judge(i, {refused, {}, Standing::kHeld, "all fail"});
  model.set_panic(0, PoolPanic{"all fail", "ends at 12:00:00 UTC", now_, now_});
  model.refresh();
  EXPECT_TRUE(model.placements()[0].in_service);
  model.set_panic(0, PoolPanic{"all fail", "ends when they are back", std::nullopt, now_});
  model.refresh();
  EXPECT_FALSE(model.placements()[0].in_service);
}

TEST_F(ModelTest, SaysWhenChecksCannotBeRunAndWhenTheyCanAgain) {
  Model model = this->model();
  model.set_not_run(0, "Network is unreachable");
  model.set_not_run(0, "Network is unreachable");
  EXPECT_TRUE(journal_says("mta/mta1:25", "its checks cannot be run, so nothing new is known of it: Network"));
  model.set_not_run(0, "");
  EXPECT_TRUE(journal_says("mta/mta1:25", "its checks can be run again"));
}

TEST_F(ModelTest, AHeldTierGivesWayToOneInWhichSomebodyIsWell) {
  config_.pools[0].backends[2].tier = 1;
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(model.placements()[0].tiers.active(), 0u);
  const Judgement::Found refused{Health::kDown, "refused at greeting: 554"};
  for (size_t i = 0; i < 2; i++) model.judge(i, {refused, {}, Standing::kHeld, "2 of 3 fail"});
  model.refresh();
  EXPECT_EQ(model.placements()[0].tiers.active(), 1u);
  EXPECT_EQ(entries_of(model, 0, "mta1"), 0u);
  EXPECT_GT(entries_of(model, 0, "mta3"), 0u);
}

TEST_F(ModelTest, ATierStaysWhereAllAreHeld) {
  config_.pools[0].backends[2].tier = 1;
  Model model = this->model();
  bring_up(model);
  const Judgement::Found refused{Health::kDown, "refused at greeting: 554"};
  for (size_t i = 3; i-- > 0;) model.judge(i, {refused, {}, Standing::kHeld, "all fail"});
  model.refresh();
  EXPECT_EQ(model.placements()[0].tiers.active(), 0u);
}

}  // namespace
}  // namespace sluice::control
