// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/warm_up.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "controlplane/changes/overrides.h"
#include "controlplane/tables/maglev.h"
#include "dataplane/contract/placement.h"
#include "tests/controlplane/support/model_fixture.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

const std::chrono::sys_days kStart{2026y / 12 / 1};

config::WarmUp plan_of(uint32_t length, double from, config::Curve curve) {
  return {.start = kStart, .days = length, .from = from, .curve = curve, .table = {}};
}

TEST(WarmUpPlan, GrowsByEqualStepsOrByEqualFactors) {
  const config::WarmUp linear = plan_of(10, 0.1, config::Curve::kLinear);
  EXPECT_DOUBLE_EQ(factor_on_day(linear, 0), 0.1);
  EXPECT_DOUBLE_EQ(factor_on_day(linear, 5), 0.55);
  EXPECT_DOUBLE_EQ(factor_on_day(linear, 10), 1);
  EXPECT_DOUBLE_EQ(factor_on_day(linear, 400), 1);
  const config::WarmUp exponential = plan_of(4, 0.0625, config::Curve::kExponential);
  for (uint32_t day = 0; day < 4; day++) EXPECT_DOUBLE_EQ(factor_on_day(exponential, day), std::pow(2.0, day) / 16);
  const config::WarmUp table{.start = kStart, .table = {0, 0.5}};
  EXPECT_EQ(days_of(table), 2u);
  EXPECT_EQ(factor_on_day(table, 0), 0);
  EXPECT_EQ(factor_on_day(table, 1), 0.5);
  EXPECT_EQ(factor_on_day(table, 2), 1);
}

TEST(WarmUpPlan, GivesNothingBeforeItsFirstDayAndSaysWhenItBegins) {
  const config::WarmUp plan = plan_of(30, 0.02, config::Curve::kLinear);
  const Factor before = warm_up_factor(plan, {}, kStart - 1s);
  EXPECT_EQ(before, (Factor{0, "begins 2026-12-01"}));
  EXPECT_EQ(warm_up_factor(plan, {}, kStart), (Factor{0.02, "day 1 of 30"}));
  EXPECT_EQ(warm_up_factor(plan, {}, kStart + days(1) - 1s), (Factor{0.02, "day 1 of 30"}));
  EXPECT_EQ(warm_up_factor(plan, {}, kStart + days(1)).reason, "day 2 of 30");
  EXPECT_EQ(warm_up_factor(plan, {}, kStart + days(30)), (Factor{1, ""}));
}

TEST(WarmUpPlan, StandsWhilePausedAndGoesOnWhereItStood) {
  const config::WarmUp plan = plan_of(30, 0.02, config::Curve::kLinear);
  WarmUpClock clock;
  clock.paused = kStart + days(4) + 1h;
  EXPECT_EQ(warm_up_factor(plan, clock, kStart + days(20)).reason, "paused by hand on day 5 of 30");
  clock = resumed(clock, kStart + days(20));
  EXPECT_EQ(warm_up_factor(plan, clock, kStart + days(20)).reason, "day 5 of 30");
  EXPECT_EQ(warm_up_factor(plan, clock, kStart + days(20) + 23h).reason, "day 6 of 30");
  EXPECT_EQ(resumed(clock, kStart + days(25)), clock) << "it is not paused";
}

TEST(WarmUpPlan, RollsBackByDaysButNotBeyondItsBeginning) {
  const config::WarmUp plan = plan_of(30, 0.02, config::Curve::kLinear);
  const SystemTime now = kStart + days(9) + 5h;
  EXPECT_EQ(warm_up_factor(plan, rolled_back(plan, {}, now, 3), now).reason, "day 7 of 30");
  EXPECT_EQ(warm_up_factor(plan, rolled_back(plan, {}, now, 50), now).reason, "day 1 of 30");
  EXPECT_EQ(warm_up_factor(plan, rolled_back(plan, {}, now, std::nullopt), now).reason, "day 1 of 30");
  EXPECT_EQ(rolled_back(plan, {}, kStart - 1h, 3), WarmUpClock{}) << "it has not begun";
}

/// Thirty days with a clock that the test moves: fifty thousand connections each day, placed as a worker places them.
class WarmUpMonth : public ModelTest, public testing::WithParamInterface<config::Curve> {
 protected:
  static constexpr uint32_t kConnections = 50'000;

  WarmUpMonth() {
    config_.pools[0].backends[2].warm_up = plan_of(30, 0.02, GetParam());
    config_.services[0].table_size = 65537;
    now_ = kStart - days(1);
  }

  /// Share of the connections that mta3 gets.
  static double share_of_new(const Model& model) {
    const DesiredService service = model.desired().services[0];
    const uint64_t key = model.members()[2].key;
    uint32_t hits = 0;
    for (uint32_t i = 0; i < kConnections; i++) {
      const Endpoint client{Address::v4(Be32::of(0xc6336400 + i / 1000)),
                            Be16::of(static_cast<uint16_t>(10000 + i % 1000))};
      const uint32_t entry = table_index(placement_hash(client, service.vip, service.hash_on),
                                         static_cast<uint32_t>(service.table->entries.size()));
      const uint16_t member = service.table->entries[entry];
      hits += member != kNobody && service.table->members[member] == key;
    }
    return static_cast<double>(hits) / kConnections;
  }
};

TEST_P(WarmUpMonth, NewConnectionsFollowThePlanWithinTwoPoints) {
  const StateDirectory directory;
  Model model = this->model();
  bring_up(model);
  Overrides overrides(config_, model, journal_, [](const Member&) { return 0; }, directory.path());
  overrides.restore();
  model.refresh();
  EXPECT_EQ(share_of_new(model), 0) << "nothing before the first day";
  std::set<double> shares;
  for (uint32_t day = 0; day <= 30; day++) {
    now_ = kStart + days(day);
    EXPECT_TRUE(overrides.tick()) << "day " << day;
    EXPECT_FALSE(overrides.tick()) << "nothing changes within a day";
    model.refresh();
    const double factor = factor_on_day(*config_.pools[0].backends[2].warm_up, day);
    const double share = share_of_new(model);
    EXPECT_NEAR(share, factor / (2 + factor), 0.02) << "day " << day;
    shares.insert(share);
  }
  EXPECT_EQ(shares.size(), 31u) << "every day is another step";
}

INSTANTIATE_TEST_SUITE_P(Curves, WarmUpMonth, testing::Values(config::Curve::kLinear, config::Curve::kExponential));

}  // namespace
}  // namespace sluice::control
