// SPDX-License-Identifier: Apache-2.0
#include "controlplane/passive_judge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "controlplane/steering.h"

namespace sluice::control {
namespace {

using std::chrono::seconds;

PassiveSample greeted(uint64_t count, uint64_t ms_each) {
  return {.connected = count, .greeted = count, .greeting_ms = count * ms_each};
}

/// A pool of members 1 to n with equal weights, judged every five seconds.
class PassiveJudgeTest : public testing::Test {
 protected:
  /// One round: `samples` by key. Members without one have had no traffic.
  std::vector<PassiveJudge::Decision> round(const std::map<uint64_t, PassiveSample>& samples) {
    now_ += rules_.settings.interval;
    std::vector<PassiveJudge::Subject> subjects;
    for (uint64_t key = 1; key <= members_; key++) {
      const auto sample = samples.find(key);
      subjects.push_back({key, 100, sample == samples.end() ? PassiveSample{} : sample->second});
    }
    auto decisions = judge_.judge(rules_, subjects, now_);
    for (const auto& decision : decisions) EXPECT_EQ(judge_.factor(decision.key), decision.factor);
    return decisions;
  }
  /// All members greet after `ms`, but for those in `others`.
  std::map<uint64_t, PassiveSample> all(uint64_t ms, const std::map<uint64_t, PassiveSample>& others = {}) const {
    std::map<uint64_t, PassiveSample> out = others;
    for (uint64_t key = 1; key <= members_; key++) out.try_emplace(key, greeted(50, ms));
    return out;
  }
  double taken() const {
    double out = 0;
    for (uint64_t key = 1; key <= members_; key++) out += 1 - judge_.factor(key);
    return out / static_cast<double>(members_);
  }

  uint64_t members_ = 5;
  PassiveJudge::Rules rules_;
  PassiveJudge::Time now_{seconds(1'800'000'000)};
  PassiveJudge judge_;
};

TEST(PassiveSample, IsReadFromTheCountersOfTheDataPlane) {
  channel::SmtpCounters counters{};
  counters.connect.buckets[2] = 90;
  counters[channel::SmtpCounter::kConnectRefused] = 3;
  counters[channel::SmtpCounter::kConnectTimeout] = 4;
  counters.greeting.buckets[5] = 80;
  counters.greeting.sum_ms = 2000;
  counters[channel::SmtpCounter::kGreeting2xx] = 60;
  counters[channel::SmtpCounter::kGreeting4xx] = 5;
  counters[channel::SmtpCounter::kGreeting421] = 6;
  counters[channel::SmtpCounter::kMidSession421] = 7;
  counters[channel::SmtpCounter::kGreeting5xx] = 9;
  const PassiveSample sample = passive_sample(counters);
  EXPECT_EQ(sample.connected, 90u);
  EXPECT_EQ(sample.failed, 7u);
  EXPECT_EQ(sample.greeted, 80u);
  EXPECT_EQ(sample.soft, 18u);
  EXPECT_EQ(sample.refused, 9u);
  EXPECT_EQ(sample.greeting_ms, 2000u);
}

TEST_F(PassiveJudgeTest, LeavesAPoolAloneWhoseMembersAreAlike) {
  for (int i = 0; i < 20; i++) EXPECT_TRUE(round(all(i % 2 == 0 ? 20 : 30)).empty());
}

TEST_F(PassiveJudgeTest, TakesHalfAtATimeFromAMemberThatGreetsTenTimesSlower) {
  round(all(20));
  const auto first = round(all(20, {{3, greeted(50, 200)}}));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].key, 3u);
  EXPECT_EQ(first[0].before, 1);
  EXPECT_EQ(first[0].factor, 0.5);
  EXPECT_EQ(first[0].reason,
            "the greeting takes 110 ms (last of 50 connections), allowed are 70 ms: the others' median is 20 ms, "
            "max_greeting_ratio 3");
  round(all(20, {{3, greeted(50, 200)}}));
  EXPECT_EQ(judge_.factor(3), 0.25);
  for (int i = 0; i < 10; i++) round(all(20, {{3, greeted(50, 200)}}));
  EXPECT_EQ(judge_.factor(3), PassiveJudge::kLeastFactor) << "enough is left to see whether it gets better";
}

TEST_F(PassiveJudgeTest, GivesBackByStepsAndNoSoonerThanTheCooldown) {
  while (judge_.factor(3) > 0.25) round(all(20, {{3, greeted(50, 200)}}));
  const PassiveJudge::Time lowered = now_;
  std::vector<double> factors;
  PassiveJudge::Time last = lowered;
  while (judge_.factor(3) < 1) {
    const auto decisions = round(all(20));
    for (const auto& decision : decisions) {
      EXPECT_GE(now_ - last, rules_.settings.cooldown);
      EXPECT_EQ(decision.reason, "its last 50 connections were within bounds");
      last = now_;
      factors.push_back(decision.factor);
    }
    ASSERT_LT(now_ - lowered, seconds(200));
  }
  EXPECT_EQ(factors, (std::vector<double>{0.5, 1}));
}

TEST_F(PassiveJudgeTest, HoldsAFigureBadUntilItIsWellBelowItsBound) {
  for (int i = 0; i < 8; i++) round(all(20, {{3, greeted(50, 100)}}));
  ASSERT_EQ(judge_.factor(3), PassiveJudge::kLeastFactor);
  for (int i = 0; i < 20; i++) round(all(20, {{3, greeted(50, 55)}}));  // bound 70, good again below 47
  EXPECT_EQ(judge_.factor(3), PassiveJudge::kLeastFactor);
  for (int i = 0; i < 8; i++) round(all(20, {{3, greeted(50, 30)}}));
  EXPECT_GT(judge_.factor(3), PassiveJudge::kLeastFactor);
}

TEST_F(PassiveJudgeTest, JudgesByEachFigure) {
  struct Case {
    const char* description;
    PassiveSample sample;
    const char* reason;  // how it begins
  };
  const Case cases[] = {
      {"slow", greeted(50, 4000), "the greeting takes 4000 ms (last of 50 connections), "},
      {"puts off",
       {.connected = 50, .greeted = 50, .soft = 15, .greeting_ms = 1000},
       "30% of 50 connections were put off with 4xx, max_soft_ratio is 20%"},
      {"refuses",
       {.connected = 50, .greeted = 50, .refused = 3, .greeting_ms = 1000},
       "6% of 50 connections were refused with 5xx, max_refused_ratio is 5%"},
      {"does not accept",
       {.connected = 46, .failed = 4, .greeted = 46, .greeting_ms = 920},
       "8% of 50 connections were not accepted, max_failed_ratio is 5%"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.description);
    judge_ = {};
    const auto decisions = round(all(20, {{2, each.sample}}));
    ASSERT_EQ(decisions.size(), 1u);
    EXPECT_EQ(decisions[0].key, 2u);
    EXPECT_EQ(decisions[0].factor, 0.5);
    EXPECT_TRUE(decisions[0].reason.starts_with(each.reason)) << decisions[0].reason;
  }
}

TEST_F(PassiveJudgeTest, JudgesAMemberAloneByTheAbsoluteBoundOnly) {
  members_ = 2;
  rules_.settings.max_greeting_ms = 500;
  EXPECT_TRUE(round({{1, greeted(50, 450)}}).empty()) << "the other has shown nothing yet";
  const auto decisions = round({{1, greeted(50, 700)}});
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_TRUE(decisions[0].reason.ends_with("allowed are 500 ms: max_greeting_ms")) << decisions[0].reason;
}

TEST_F(PassiveJudgeTest, WaitsUntilThereIsEnoughToJudgeBy) {
  for (int i = 0; i < 3; i++) EXPECT_TRUE(round(all(20, {{4, greeted(6, 900)}})).empty()) << "18 connections so far";
  EXPECT_EQ(round(all(20, {{4, greeted(6, 900)}})).size(), 1u) << "24 connections";
}

TEST_F(PassiveJudgeTest, GivesBackWhatGetsTooLittleTrafficToBeJudged) {
  while (judge_.factor(3) > 0.25) round(all(20, {{3, greeted(50, 200)}}));
  const PassiveJudge::Time since = now_;
  while (judge_.factor(3) < 1) {
    const auto decisions = round({});
    for (const auto& decision : decisions)
      EXPECT_EQ(decision.reason, "only 0 connections since it was last judged, too few to go on");
    ASSERT_LT(now_ - since, seconds(200));
  }
  EXPECT_GE(now_ - since, 2 * rules_.settings.cooldown);
}

TEST_F(PassiveJudgeTest, TakesNothingWhenEveryMemberIsBad) {
  const PassiveSample puts_off{.connected = 50, .greeted = 50, .soft = 40, .greeting_ms = 1000};
  for (int i = 0; i < 5; i++) round(all(20, {{1, puts_off}}));
  EXPECT_LT(judge_.factor(1), 0.2);
  std::map<uint64_t, PassiveSample> everybody;
  for (uint64_t key = 1; key <= members_; key++) everybody[key] = puts_off;
  const auto released = round(everybody);
  ASSERT_FALSE(released.empty());
  for (const auto& decision : released) {
    EXPECT_EQ(decision.factor, 1);
    EXPECT_TRUE(decision.reason.ends_with("; but every backend is bad, and nobody could take over")) << decision.reason;
  }
  EXPECT_EQ(taken(), 0);
  EXPECT_TRUE(round(everybody).empty()) << "told once";
}

TEST_F(PassiveJudgeTest, ComparesWithTheOthersSoThatAPoolThatIsSlowAsAWholeIsLeftAlone) {
  for (int i = 0; i < 5; i++) round(all(20, {{1, greeted(50, 200)}}));
  EXPECT_LT(judge_.factor(1), 0.2);
  for (int i = 0; i < 40; i++) round(all(200));
  EXPECT_EQ(taken(), 0);
}

TEST_F(PassiveJudgeTest, TakesNoMoreOfThePoolThanMaxShed) {
  const PassiveSample refuses{.connected = 50, .greeted = 50, .refused = 50, .greeting_ms = 1000};
  for (int i = 0; i < 20; i++) {
    round(all(20, {{1, refuses}, {2, refuses}, {3, refuses}, {4, refuses}}));
    EXPECT_LE(taken(), rules_.max_shed + 1e-9);
  }
  EXPECT_NEAR(taken(), rules_.max_shed, 0.02);
  for (uint64_t key = 1; key <= 4; key++) EXPECT_NEAR(judge_.factor(key), 1 - 0.5 * 5 / 4, 0.02) << key;
  EXPECT_EQ(judge_.factor(5), 1);
  rules_.max_shed = 0;
  for (int i = 0; i < 3; i++) round(all(20, {{1, refuses}}));
  EXPECT_EQ(taken(), 0) << "a limit that was lowered meanwhile holds too";
}

TEST_F(PassiveJudgeTest, LeavesMinHealthyMembersWhole) {
  rules_.min_healthy = 4;
  const PassiveSample refuses{.connected = 50, .greeted = 50, .refused = 50, .greeting_ms = 1000};
  round(all(20, {{2, refuses}}));
  std::vector<PassiveJudge::Decision> decisions = round(all(20, {{2, refuses}, {4, refuses}}));
  ASSERT_EQ(decisions.size(), 2u);
  EXPECT_EQ(decisions[1].key, 4u);
  EXPECT_EQ(decisions[1].factor, 1) << "only one may be touched, and that is the one that was first";
  EXPECT_TRUE(decisions[1].reason.ends_with("; but min_healthy is 4")) << decisions[1].reason;
  for (int i = 0; i < 5; i++) round(all(20, {{2, refuses}, {4, refuses}}));
  EXPECT_EQ(judge_.factor(2), PassiveJudge::kLeastFactor);
  EXPECT_EQ(judge_.factor(4), 1);
}

TEST_F(PassiveJudgeTest, HoldsItsLawsWhateverHappens) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random); };
  members_ = 7;
  rules_.min_healthy = 3;
  for (int i = 0; i < 2000; i++) {
    std::map<uint64_t, PassiveSample> samples;
    for (uint64_t key = 1; key <= members_; key++) {
      const uint64_t greeted = below(60);
      samples[key] = {.connected = greeted + below(5),
                      .failed = below(4) == 0 ? below(10) : 0,
                      .greeted = greeted,
                      .soft = below(3) == 0 ? below(greeted + 1) : 0,
                      .refused = below(5) == 0 ? below(greeted + 1) : 0,
                      .greeting_ms = greeted * below(400)};
    }
    std::map<uint64_t, double> before;
    for (uint64_t key = 1; key <= members_; key++) before[key] = judge_.factor(key);
    const auto decisions = round(samples);
    size_t whole = 0;
    for (uint64_t key = 1; key <= members_; key++) {
      const double factor = judge_.factor(key);
      EXPECT_GE(factor, PassiveJudge::kLeastFactor);
      EXPECT_LE(factor, 1);
      EXPECT_GE(factor, before[key] / PassiveJudge::kStep - 1e-9) << "more than a step at once";
      whole += factor == 1;
    }
    EXPECT_GE(whole, rules_.min_healthy);
    EXPECT_LE(taken(), rules_.max_shed + 1e-9);
    for (const auto& decision : decisions) EXPECT_FALSE(decision.reason.empty());
  }
}

}  // namespace
}  // namespace sluice::control
