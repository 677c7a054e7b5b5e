// SPDX-License-Identifier: Apache-2.0
//
// The counts of sources' sessions, held against exact ones: who is counted, how fast, and who gives way.
#include "dataplane/flow/limit_counts.h"

#include "tests/support/seed.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace sluice {
namespace {

using channel::LimitTable;

constexpr uint64_t kSecondNs = 1'000'000'000;

Address prefix(uint32_t n) {
  Address out;
  out.bytes[10] = out.bytes[11] = 0xff;
  for (int i = 0; i < 4; i++) out.bytes[12 + i] = static_cast<uint8_t>(n >> (24 - 8 * i));
  return out;
}

class Counts : public ::testing::Test {
 protected:
  Counts() { counts_.begin(channel::limit_layout(1, 1)); }

  uint64_t places_taken() const {
    uint64_t out = 0;
    for (const auto& set : table_->words)
      for (const uint64_t word : set) out += word != 0 ? 1 : 0;
    return out;
  }

  std::unique_ptr<LimitTable> table_ = std::make_unique<LimitTable>();
  LimitCounts counts_{table_.get(), 0x1234'5678'9abc'def0};
};

TEST_F(Counts, AgreeWithExactOnes) {
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937 random(seed);
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> exact;  // by prefix and rule
  for (int step = 0; step < 200'000; step++) {
    const uint32_t n = random() % 2000, rule = random() % 3;
    const LimitKey key = counts_.key(prefix(n), rule);
    uint32_t& open = exact[{n, rule}];
    if (random() % 2 == 0) {
      ASSERT_TRUE(counts_.add(key));
      open++;
    } else if (open != 0) {
      counts_.remove(key);
      open--;
    }
    ASSERT_EQ(counts_.open(key), open);
    ASSERT_EQ(counts_.judge(key, 3, {}, 0), open >= 3 ? LimitVerdict::kTooMany : LimitVerdict::kPasses);
  }
}

TEST_F(Counts, AskingTakesNoPlaceHoweverManyAsk) {
  const LimitKey honest = counts_.key(prefix(7), 0);
  ASSERT_TRUE(counts_.add(honest));
  for (uint32_t n = 0; n < 1'000'000; n++) {
    ASSERT_EQ(counts_.judge(counts_.key(prefix(1'000'000 + n), 0), 1, {}, 0), LimitVerdict::kPasses);
  }
  EXPECT_EQ(places_taken(), 1u);
  EXPECT_EQ(counts_.open(honest), 1u);
}

TEST_F(Counts, WhatIsOpenIsNotDisplacedByWhatComesAndGoes) {
  std::vector<LimitKey> open;
  for (uint32_t n = 0; n < 1000; n++) {
    open.push_back(counts_.key(prefix(n), 0));
    ASSERT_TRUE(counts_.add(open.back()));
  }
  for (uint32_t n = 0; n < 1'000'000; n++) {  // each set is used some hundred times over
    const LimitKey key = counts_.key(prefix(1'000'000 + n), 0);
    ASSERT_TRUE(counts_.add(key));
    counts_.remove(key);
  }
  for (const LimitKey& key : open) ASSERT_EQ(counts_.open(key), 1u);
}

TEST_F(Counts, TheLongestIdleGivesWay) {
  // Prefixes of one set, one more than it holds.
  std::vector<LimitKey> keys;
  for (uint32_t n = 0; keys.size() <= LimitTable::kWays; n++) {
    const LimitKey key = counts_.key(prefix(n), 0);
    if (key.set == 0) keys.push_back(key);
  }
  const LimitRate rate = LimitRate::of({24, 64, {}, 0, 0, 1, 1});
  for (uint32_t way = 0; way < LimitTable::kWays; way++) {
    ASSERT_TRUE(counts_.add(keys[way]));
    counts_.charge(keys[way], rate, (100 - way) * kSecondNs);  // the last has been idle longest
    counts_.remove(keys[way]);
  }
  ASSERT_TRUE(counts_.add(keys.back()));
  const auto is_known = [&](const LimitKey& key) {
    return counts_.judge(key, 0, rate, kSecondNs) == LimitVerdict::kTooFast;
  };
  EXPECT_FALSE(is_known(keys[LimitTable::kWays - 1]));
  EXPECT_TRUE(is_known(keys[LimitTable::kWays - 2]));
  EXPECT_TRUE(is_known(keys[0]));
}

TEST_F(Counts, AFullSetLeavesSessionsUncounted) {
  std::vector<LimitKey> keys;
  for (uint32_t n = 0; keys.size() <= LimitTable::kWays; n++) {
    const LimitKey key = counts_.key(prefix(n), 0);
    if (key.set == 0) keys.push_back(key);
  }
  for (uint32_t way = 0; way < LimitTable::kWays; way++) ASSERT_TRUE(counts_.add(keys[way]));
  EXPECT_FALSE(counts_.add(keys.back()));
  counts_.remove(keys.back());  // as its session does when it ends
  for (uint32_t way = 0; way < LimitTable::kWays; way++) EXPECT_EQ(counts_.open(keys[way]), 1u);
  counts_.remove(keys[0]);
  EXPECT_TRUE(counts_.add(keys.back()));
}

TEST_F(Counts, SessionsOverARateAreTooFast) {
  const LimitRate rate = LimitRate::of({24, 64, {}, 0, 0, 10, 5});
  const LimitKey key = counts_.key(prefix(1), 0);
  uint64_t now_ns = 5 * kSecondNs;
  uint32_t passed = 0;
  ASSERT_TRUE(counts_.add(key));
  const auto come = [&](uint32_t times) {
    passed = 0;
    for (uint32_t n = 0; n < times; n++) {
      if (counts_.judge(key, 0, rate, now_ns) != LimitVerdict::kPasses) continue;
      counts_.charge(key, rate, now_ns);
      passed++;
    }
    return passed;
  };
  EXPECT_EQ(come(20), 5u) << "the burst";
  now_ns += kSecondNs / 10;
  EXPECT_EQ(come(20), 1u) << "the rate";
  now_ns += 3 * kSecondNs / 10;
  EXPECT_EQ(come(20), 3u);
  now_ns += 60 * kSecondNs;
  EXPECT_EQ(come(20), 5u) << "no more than the burst is saved up";
}

TEST_F(Counts, AnotherLayoutCountsFromTheBeginning) {
  const LimitKey before = counts_.key(prefix(1), 0);
  ASSERT_TRUE(counts_.add(before));
  counts_.begin(channel::limit_layout(1, 2));
  EXPECT_EQ(counts_.open(counts_.key(prefix(1), 0)), 0u);
  // What the one before holds gives way at once, though it is open.
  std::vector<LimitKey> keys;
  for (uint32_t n = 0; keys.size() < LimitTable::kWays; n++) {
    const LimitKey key = counts_.key(prefix(n), 0);
    if (key.set == before.set) keys.push_back(key);
  }
  for (const LimitKey& key : keys) EXPECT_TRUE(counts_.add(key));
}

TEST_F(Counts, OfTwoWorkersAreOne) {
  constexpr uint32_t kRounds = 200'000, kPrefixes = 64;
  const auto work = [&](uint32_t worker) {
    LimitCounts counts(table_.get(), 0x1234'5678'9abc'def0);
    counts.begin(channel::limit_layout(1, 1));
    std::mt19937 random(worker);
    std::vector<uint32_t> mine(kPrefixes);
    for (uint32_t i = 0; i < kRounds; i++) {
      const uint32_t n = random() % kPrefixes;
      if (mine[n] < 2) {
        (void)counts.add(counts.key(prefix(n), 0));
        mine[n]++;
      } else {
        counts.remove(counts.key(prefix(n), 0));
        mine[n]--;
      }
    }
    for (uint32_t n = 0; n < kPrefixes; n++) {
      for (; mine[n] != 0; mine[n]--) counts.remove(counts.key(prefix(n), 0));
    }
  };
  for (uint32_t n = 0; n < kPrefixes; n++) ASSERT_TRUE(counts_.add(counts_.key(prefix(n), 0)));  // both know them
  std::thread one(work, 1), other(work, 2);
  one.join();
  other.join();
  for (uint32_t n = 0; n < kPrefixes; n++) EXPECT_EQ(counts_.open(counts_.key(prefix(n), 0)), 1u) << n;
  EXPECT_EQ(places_taken(), kPrefixes);
}

}  // namespace
}  // namespace sluice
