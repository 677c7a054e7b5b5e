// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/passive_judge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "controlplane/process/steering.h"
#include "perf/lib/judged_pool.h"

#include "tests/support/seed.h"

namespace sluice::control {
namespace {

using std::chrono::seconds;

PassiveSample greeted(uint64_t count, uint64_t ms_each) {
  PassiveSample out{.connected = count};
  out.greeting.buckets[channel::GreetingHistogram::bucket_of(ms_each)] = count;
  out.greeting.sum_ms = count * ms_each;
  return out;
}
PassiveSample refused(uint64_t count, uint64_t of) {
  PassiveSample out = greeted(of, 20);
  out.refused = count;
  return out;
}
PassiveSample put_off(uint64_t count, uint64_t of) {
  PassiveSample out = greeted(of, 20);
  out.soft = count;
  return out;
}
PassiveSample failed(uint64_t count, uint64_t of) {
  PassiveSample out = greeted(of - count, 20);
  out.failed = count;
  return out;
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
  /// Rounds until something is decided; the decisions.
  std::vector<PassiveJudge::Decision> decided(const std::map<uint64_t, PassiveSample>& samples, int at_most) {
    rounds_ = 0;
    std::vector<PassiveJudge::Decision> out;
    while (out.empty() && rounds_ < at_most) {
      out = round(samples);
      rounds_++;
    }
    return out;
  }
  /// Until the member's factor is the least.
  void shed(uint64_t key, const PassiveSample& bad) {
    for (int i = 0; judge_.factor(key) > PassiveJudge::kLeastFactor; i++) {
      round(all(20, {{key, bad}}));
      ASSERT_LT(i, 20);
    }
  }
  double taken() const {
    double out = 0;
    for (uint64_t key = 1; key <= members_; key++) out += 1 - judge_.factor(key);
    return out / static_cast<double>(members_);
  }

  uint64_t members_ = 5;
  int rounds_ = 0;
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
  EXPECT_EQ(sample.greeted(), 80u);
  EXPECT_EQ(sample.soft, 18u);
  EXPECT_EQ(sample.refused, 9u);
  EXPECT_EQ(sample.greeting.sum_ms, 2000u);
}

TEST(PassiveSample, TypicalIsTheMeanUnlessAFewSlowOnesMakeIt) {
  EXPECT_EQ(typical_ms({}), 0);
  PassiveSample sample = greeted(50, 20);
  EXPECT_EQ(typical_ms(sample.greeting), 20);
  sample += greeted(2, 30'000);
  EXPECT_EQ(typical_ms(sample.greeting), 32) << "the end of the median's bucket";
  EXPECT_EQ(typical_ms(greeted(5, 100'000).greeting), 100'000);
}

TEST_F(PassiveJudgeTest, LeavesAPoolAloneWhoseMembersAreAlike) {
  for (int i = 0; i < 20; i++) EXPECT_TRUE(round(all(i % 2 == 0 ? 20 : 30)).empty());
}

TEST_F(PassiveJudgeTest, TakesHalfAtATimeFromAMemberThatGreetsTenTimesSlower) {
  round(all(20));
  const auto first = decided(all(20, {{3, greeted(50, 200)}}), PassiveJudge::kSlowWindows);
  EXPECT_EQ(rounds_, PassiveJudge::kSlowWindows);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].key, 3u);
  EXPECT_EQ(first[0].before, 1);
  EXPECT_EQ(first[0].factor, 0.5);
  EXPECT_EQ(first[0].reason,
            "the greeting takes 200 ms (200 connections), allowed are 70 ms: the others' median is 20 ms, "
            "max_greeting_ratio 3");
  decided(all(20, {{3, greeted(50, 200)}}), 4);
  EXPECT_EQ(judge_.factor(3), 0.25);
  for (int i = 0; i < 10; i++) round(all(20, {{3, greeted(50, 200)}}));
  EXPECT_EQ(judge_.factor(3), PassiveJudge::kLeastFactor) << "enough is left to see whether it gets better";
}

TEST_F(PassiveJudgeTest, ABurstOfSlowGreetingsCostsNothing) {
  for (int i = 0; i < 200; i++) {
    std::map<uint64_t, PassiveSample> samples = all(2);
    if (i % 10 < 2) samples[3] = greeted(50, 2000);    // a machine that is busy for a moment, and for the next
    if (i % 4 == 0) samples[4] += greeted(1, 30'000);  // one that waits for DNS
    EXPECT_TRUE(round(samples).empty()) << i;
  }
}

TEST_F(PassiveJudgeTest, IsNotMovedByASlowPoolWithOneALittleSlower) {
  for (int i = 0; i < 50; i++) EXPECT_TRUE(round(all(6000, {{3, greeted(50, 7000)}})).empty());
  EXPECT_EQ(decided(all(6000, {{3, greeted(50, 12'000)}}), 8).size(), 1u);
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
      EXPECT_TRUE(decision.reason.starts_with("the greeting takes 20 ms (")) << decision.reason;
      last = now_;
      factors.push_back(decision.factor);
    }
    ASSERT_LT(now_ - lowered, seconds(200));
  }
  EXPECT_EQ(factors, (std::vector<double>{0.5, 1}));
}

TEST_F(PassiveJudgeTest, HoldsAGreetingBadUntilItIsWellBelowItsBound) {
  shed(3, greeted(50, 100));
  for (int i = 0; i < 20; i++) round(all(20, {{3, greeted(50, 55)}}));  // bound 70, good again below 47
  EXPECT_EQ(judge_.factor(3), PassiveJudge::kLeastFactor);
  for (int i = 0; i < 8; i++) round(all(20, {{3, greeted(50, 30)}}));
  EXPECT_GT(judge_.factor(3), PassiveJudge::kLeastFactor);
}

TEST_F(PassiveJudgeTest, HoldsAShareBadUntilItIsAsTheOthersAre) {
  const auto ten_percent = [&](uint64_t bad) {
    std::map<uint64_t, PassiveSample> out{{3, refused(bad, 50)}};
    for (uint64_t key = 1; key <= members_; key++) out.try_emplace(key, refused(5, 50));
    return out;
  };
  for (int i = 0; i < 200; i++) EXPECT_TRUE(round(ten_percent(8)).empty()) << "1.6 times as bad is left alone";
  for (int i = 0; judge_.factor(3) > PassiveJudge::kLeastFactor; i++) {
    round(ten_percent(20));
    ASSERT_LT(i, 30);
  }
  for (int i = 0; i < 200; i++) EXPECT_TRUE(round(ten_percent(8)).empty()) << "nor does it get anything back";
  const auto decisions = decided(ten_percent(5), 20);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_GT(decisions[0].factor, PassiveJudge::kLeastFactor);
  EXPECT_TRUE(decisions[0].reason.ends_with(
      " connections were refused with 5xx, the others' median is 10%, max_refused_ratio is 5%"))
      << decisions[0].reason;
}

TEST_F(PassiveJudgeTest, JudgesByEachFigure) {
  struct Case {
    const char* description;
    PassiveSample sample;
    const char* begins;
    const char* ends;
  };
  const Case cases[] = {
      {"slow", greeted(50, 4000), "the greeting takes 4000 ms (200 connections), ", "max_greeting_ratio 3"},
      {"puts off", put_off(15, 50), "30% of 150 connections were put off with 4xx (at least ",
       "%), the others' median is 0%, max_soft_ratio is 20%"},
      {"refuses", refused(5, 50), "10% of 200 connections were refused with 5xx (at least ",
       "%), the others' median is 0%, max_refused_ratio is 5%"},
      {"does not accept", failed(4, 50), "8% of 350 connections were not accepted (at least ",
       "%), the others' median is 0%, max_failed_ratio is 5%"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.description);
    judge_ = {};
    const auto decisions = decided(all(20, {{2, each.sample}}), 10);
    ASSERT_EQ(decisions.size(), 1u);
    EXPECT_EQ(decisions[0].key, 2u);
    EXPECT_EQ(decisions[0].factor, 0.5);
    EXPECT_TRUE(decisions[0].reason.starts_with(each.begins)) << decisions[0].reason;
    EXPECT_TRUE(decisions[0].reason.ends_with(each.ends)) << decisions[0].reason;
  }
}

TEST_F(PassiveJudgeTest, JudgesAMemberAloneByTheAbsoluteBoundOnly) {
  members_ = 2;
  rules_.settings.max_greeting_ms = 500;
  for (int i = 0; i < 10; i++) EXPECT_TRUE(round({{1, greeted(50, 450)}}).empty()) << "the other has shown nothing yet";
  const auto decisions = decided({{1, greeted(50, 700)}}, 8);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_TRUE(decisions[0].reason.ends_with("allowed are 500 ms: max_greeting_ms is 500")) << decisions[0].reason;
  judge_ = {};
  ASSERT_EQ(decided({{1, refused(25, 50)}}, 8).size(), 1u);
}

TEST_F(PassiveJudgeTest, LeavesTheOnlyMemberAlone) {
  members_ = 1;
  for (int i = 0; i < 20; i++)
    for (const auto& decision : round({{1, refused(50, 50)}})) EXPECT_EQ(decision.factor, 1);
}

TEST_F(PassiveJudgeTest, WaitsUntilThereIsEnoughToJudgeBy) {
  for (int i = 0; i < 3; i++) EXPECT_TRUE(round(all(20, {{4, refused(6, 6)}})).empty()) << "18 connections so far";
  EXPECT_EQ(round(all(20, {{4, refused(6, 6)}})).size(), 1u) << "24 connections";
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
  const PassiveSample puts_off = put_off(40, 50);
  shed(1, puts_off);
  std::map<uint64_t, PassiveSample> everybody;
  for (uint64_t key = 1; key <= members_; key++) everybody[key] = puts_off;
  const auto released = round(everybody);
  ASSERT_FALSE(released.empty());
  for (const auto& decision : released) {
    EXPECT_EQ(decision.factor, 1);
    EXPECT_TRUE(decision.reason.ends_with("; but every backend is bad, and nobody could take over")) << decision.reason;
  }
  EXPECT_EQ(taken(), 0);
  for (int i = 0; i < 100; i++) EXPECT_TRUE(round(everybody).empty()) << "told once";
}

TEST_F(PassiveJudgeTest, FindsOneThatIsWorseThanTheOthersThoughTheseAreBeyondTheirBoundsToo) {
  std::map<uint64_t, PassiveSample> samples{{1, refused(15, 50)}};
  for (uint64_t key = 2; key <= members_; key++) samples[key] = refused(5, 50);
  for (int i = 0; i < 100; i++) round(samples);
  EXPECT_EQ(judge_.factor(1), PassiveJudge::kLeastFactor);
}

TEST_F(PassiveJudgeTest, OneWithMostOfTheTrafficIsNoMeasureForTheOthers) {
  std::map<uint64_t, PassiveSample> samples{{5, refused(25, 5000)}};
  for (uint64_t key = 1; key <= 4; key++) samples[key] = refused(4, 50);
  for (int i = 0; i < 100; i++) EXPECT_TRUE(round(samples).empty()) << "8 % is the others' median";
}

TEST_F(PassiveJudgeTest, ComparesWithTheOthersSoThatAPoolThatIsSlowAsAWholeIsLeftAlone) {
  shed(1, greeted(50, 200));
  for (int i = 0; i < 40; i++) round(all(200));
  EXPECT_EQ(taken(), 0);
}

TEST_F(PassiveJudgeTest, TakesNoMoreOfThePoolThanMaxShed) {
  const PassiveSample refuses = refused(50, 50);
  for (int i = 0; i < 60; i++) {
    round(all(20, {{1, refuses}, {2, refuses}, {3, refuses}}));
    EXPECT_LE(taken(), rules_.max_shed + 1e-9);
  }
  EXPECT_NEAR(taken(), rules_.max_shed, 0.02);
  for (uint64_t key = 1; key <= 3; key++) EXPECT_NEAR(judge_.factor(key), 1 - 0.5 * 5 / 3, 0.02) << key;
  EXPECT_EQ(judge_.factor(4), 1);
  EXPECT_EQ(judge_.factor(5), 1);
  rules_.max_shed = 0;
  for (int i = 0; i < 3; i++) round(all(20, {{1, refuses}}));
  EXPECT_EQ(taken(), 0) << "a limit that was lowered meanwhile holds too";
}

TEST_F(PassiveJudgeTest, LeavesMinHealthyMembersWhole) {
  rules_.min_healthy = 4;
  const PassiveSample refuses = refused(50, 50);
  shed(2, refuses);
  const auto decisions = decided(all(20, {{2, refuses}, {4, refuses}}), 10);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(decisions[0].key, 4u);
  EXPECT_EQ(decisions[0].factor, 1) << "only one may be touched, and that is the one that was first";
  EXPECT_TRUE(decisions[0].reason.ends_with("; but min_healthy is 4")) << decisions[0].reason;
  for (int i = 0; i < 50; i++) EXPECT_TRUE(round(all(20, {{2, refuses}, {4, refuses}})).empty()) << "told once";
  EXPECT_EQ(judge_.factor(2), PassiveJudge::kLeastFactor);
  EXPECT_EQ(judge_.factor(4), 1);
  rules_.min_healthy = 0;
  EXPECT_EQ(round(all(20, {{2, refuses}, {4, refuses}})).size(), 1u);
  EXPECT_EQ(judge_.factor(4), 0.5) << "what kept it is gone";
}

// Counts as they are on average at ten connections a second, so that nothing depends on luck.
TEST_F(PassiveJudgeTest, FindsThreeTimesTheOthersShareWithinHalfAMinute) {
  struct Case {
    const char* description;
    uint64_t others[2], own[2];  // refused of 50, in one round and in the next
  };
  const Case cases[] = {{"3 %", {1, 2}, {4, 5}}, {"5 %", {2, 3}, {7, 8}}, {"10 %", {5, 5}, {15, 15}}};
  members_ = 6;
  for (const Case& each : cases) {
    SCOPED_TRACE(each.description);
    judge_ = {};
    const auto samples = [&](int i, bool bad) {
      std::map<uint64_t, PassiveSample> out;
      for (uint64_t key = 1; key <= members_; key++)
        out[key] = refused(bad && key == 1 ? each.own[i % 2] : each.others[i % 2], 50);
      return out;
    };
    for (int i = 0; i < 720; i++) ASSERT_TRUE(round(samples(i, false)).empty());
    const PassiveJudge::Time since = now_;
    for (int i = 0; judge_.factor(1) == 1; i++) {
      round(samples(i, true));
      ASSERT_LE(now_ - since, seconds(30));
    }
  }
}

TEST_F(PassiveJudgeTest, AWaveThatAllMembersRefuseIsNothingAgainstAnyOfThem) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937_64 random(seed);
  members_ = 6;
  for (int i = 0; i < 2000; i++) {
    const double share = i % 100 < 50 ? 0.02 : 0.3;
    std::map<uint64_t, PassiveSample> samples;
    for (uint64_t key = 1; key <= members_; key++)
      samples[key] = refused(std::binomial_distribution<uint64_t>(2500, share)(random), 2500);
    EXPECT_TRUE(round(samples).empty()) << i;
  }
}

TEST_F(PassiveJudgeTest, AClientThatIsRefusedAgainAndAgainForAMomentCostsNothing) {
  for (int i = 0; i < 200; i++) EXPECT_TRUE(round(all(20, {{2, refused(i % 12 == 0 ? 30 : 0, 50)}})).empty()) << i;
}

/// How often a factor changed, of the backend for which it changed most often.
unsigned most_changes(double rate, double share, double together, unsigned hours, uint64_t seed) {
  perf::JudgedPool pool(6, rate, together, seed);
  pool.set_all_refused(share);
  std::map<uint64_t, unsigned> changes;
  for (double s = 0; s < 3600.0 * hours; s += pool.round_s())
    for (const auto& decision : pool.round()) changes[decision.key] += decision.before != decision.factor ? 1 : 0;
  unsigned out = 0;
  for (const auto& [key, count] : changes) out = std::max(out, count);
  return out;
}

TEST(PassiveJudgeInADay, NoiseChangesAWeightTwiceAtMost) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  for (const double rate : {1.0, 10.0, 100.0, 500.0})
    for (const double share : {0.0, 0.01, 0.03, 0.1})
      EXPECT_LE(most_changes(rate, share, 1, 6, seed), 2u) << rate << " connections/s, " << share;
}

TEST(PassiveJudgeInADay, NorDoesNoiseInRuns) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  struct Case {
    double together, rate;
  };
  for (const auto& [together, rate] : {Case{3, 10}, Case{3, 100}, Case{6, 100}})
    EXPECT_LE(most_changes(rate, 0.03, together, 6, seed), 4u) << together << " together, " << rate << " connections/s";
}

TEST(PassiveJudgeInADay, OneThatGoesToAndFroIsNotFollowed) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  perf::JudgedPool pool(6, 50, 1, seed);
  pool.set_all_refused(0.02);
  unsigned changes = 0;
  constexpr unsigned kHours = 8;
  constexpr unsigned kCounted = 4;  // the last ones, when it is known for what it is
  for (unsigned i = 0; i < kHours * 720; i++) {
    pool.set_refused(0, i % 72 < 12 ? 0.5 : 0.02);  // a minute bad, five good
    for (const auto& decision : pool.round())
      if (i >= (kHours - kCounted) * 720) changes += decision.before != decision.factor ? 1 : 0;
  }
  // A step up every 16 cooldowns, which are 8 minutes, and as many down.
  EXPECT_LE(changes, kCounted * 2 * 60 / 8 + 2);
}

TEST_F(PassiveJudgeTest, HoldsItsLawsWhateverHappens) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937 random(seed);
  const auto below = [&](uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random); };
  members_ = 7;
  rules_.min_healthy = 3;
  for (int i = 0; i < 2000; i++) {
    std::map<uint64_t, PassiveSample> samples;
    for (uint64_t key = 1; key <= members_; key++) {
      const uint64_t count = below(60);
      PassiveSample sample = greeted(count, below(400));
      sample.connected += below(5);
      sample.failed = below(4) == 0 ? below(10) : 0;
      sample.soft = below(3) == 0 ? below(count + 1) : 0;
      sample.refused = below(5) == 0 ? below(count + 1) : 0;
      samples[key] = sample;
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
