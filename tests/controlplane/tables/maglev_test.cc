// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string>

namespace sluice::control {
namespace {

constexpr uint32_t kEntries = 65537;

std::vector<std::string> names(size_t count, uint64_t seed) {
  std::vector<std::string> out;
  for (size_t i = 0; i < count; i++) out.push_back("mta" + std::to_string(i) + ".s" + std::to_string(seed));
  return out;
}

std::vector<MaglevMember> members(const std::vector<std::string>& names, const std::vector<uint32_t>& weights = {}) {
  std::vector<MaglevMember> out;
  for (size_t i = 0; i < names.size(); i++) out.push_back({names[i], weights.empty() ? 1 : weights[i]});
  return out;
}

std::vector<uint32_t> counts(const std::vector<uint16_t>& table, size_t members) {
  std::vector<uint32_t> out(members);
  for (const uint16_t entry : table) out.at(entry)++;
  return out;
}

/// Share of the survivors' entries that change hands when one of `count` members is removed, mean over seeds.
double mean_disruption(size_t count, int seeds) {
  double sum = 0;
  for (int seed = 0; seed < seeds; seed++) {
    const auto all = names(count, seed);
    const size_t removed = seed % count;
    auto before_members = members(all);
    const auto before = build_maglev(before_members, kEntries);
    before_members[removed].weight = 0;
    const auto after = build_maglev(before_members, kEntries);
    size_t survivors = 0, moved = 0;
    for (size_t i = 0; i < kEntries; i++) {
      if (before[i] == removed) continue;
      survivors++;
      moved += before[i] != after[i];
    }
    sum += static_cast<double>(moved) / static_cast<double>(survivors);
  }
  return sum / seeds;
}

TEST(Maglev, GivesTableOneOfThePaper) {
  const std::vector<Permutation> walks{{3, 4}, {0, 2}, {3, 1}};
  EXPECT_EQ(fill_maglev(std::vector<uint32_t>{1, 1, 1}, walks, 7), (std::vector<uint16_t>{1, 0, 1, 0, 2, 2, 0}));
  EXPECT_EQ(fill_maglev(std::vector<uint32_t>{1, 0, 1}, walks, 7), (std::vector<uint16_t>{0, 0, 0, 0, 2, 2, 2}));
}

TEST(Maglev, GivesEqualWeightsEqualSharesWithinOneEntry) {
  for (const size_t count : {1, 2, 3, 7, 20, 100, 1000}) {
    SCOPED_TRACE(count);
    const auto got = counts(build_maglev(members(names(count, 1)), kEntries), count);
    const auto [low, high] = std::minmax_element(got.begin(), got.end());
    EXPECT_LE(*high - *low, 1u);
  }
}

TEST(Maglev, GivesSharesByWeightWithinOneEntry) {
  struct Case {
    std::vector<uint32_t> weights, entries;
  };
  for (const Case& c : {Case{{1, 2}, {21846, 43691}}, Case{{2, 1}, {43691, 21846}}}) {
    EXPECT_EQ(counts(build_maglev(members(names(2, 0), c.weights), kEntries), 2), c.entries);
  }
  const auto got = counts(build_maglev(members(names(3, 0), {2, 1, 1}), kEntries), 3);
  EXPECT_NEAR(got[0], kEntries / 2.0, 1);
  EXPECT_NEAR(got[1], kEntries / 4.0, 1);
  EXPECT_NEAR(got[2], kEntries / 4.0, 1);
}

TEST(Maglev, KeepsTheMeanShareErrorOfRandomWeightsBelowHalfAPercent) {
  constexpr int kSeeds = 30;
  double sum = 0;
  for (int seed = 0; seed < kSeeds; seed++) {
    std::mt19937 random(seed);
    std::vector<uint32_t> weights(20);
    for (uint32_t& weight : weights) weight = std::uniform_int_distribution<uint32_t>(1, 100)(random);
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    const auto got = counts(build_maglev(members(names(20, seed), weights), kEntries), 20);
    double worst = 0;
    for (size_t i = 0; i < 20; i++) {
      const double share = kEntries * weights[i] / total;
      EXPECT_LT(std::abs(got[i] - share), 1.0) << "seed " << seed << " member " << i;
      worst = std::max(worst, std::abs(got[i] - share) / share);
    }
    sum += worst;
  }
  EXPECT_LT(sum / kSeeds, 0.005);
}

TEST(Maglev, MovesFewEntriesOfSurvivorsWhenOneOfAHundredGoes) {
  EXPECT_LE(mean_disruption(100, 10), 0.007);
}

TEST(Maglev, MovesFewEntriesOfSurvivorsWhenOneOfAThousandGoes) {
  EXPECT_LE(mean_disruption(1000, 5), 0.007);
}

TEST(Maglev, GivesTheSameTableWhateverTheOrderOfMembers) {
  const auto all = names(50, 3);
  std::vector<uint32_t> weights(50);
  for (size_t i = 0; i < 50; i++) weights[i] = static_cast<uint32_t>(i % 7);
  auto list = members(all, weights);
  const auto by_name = [&](const std::vector<uint16_t>& table) {
    std::vector<std::string_view> out;
    for (const uint16_t entry : table) out.push_back(list[entry].name);
    return out;
  };
  const auto first = by_name(build_maglev(list, 4099));
  std::mt19937 random(1);
  for (int i = 0; i < 5; i++) {
    std::shuffle(list.begin(), list.end(), random);
    EXPECT_EQ(by_name(build_maglev(list, 4099)), first);
  }
}

TEST(Maglev, SurvivesExtremeWeightsAndSmallTables) {
  const auto all = names(1000, 5);
  std::vector<uint32_t> weights(1000, 1);
  weights[17] = 65535;
  auto table = build_maglev(members(all, weights), kEntries);
  EXPECT_NEAR(counts(table, 1000)[17], kEntries * 65535.0 / (65535 + 999), 1);
  table = build_maglev(members(all), 7);  // more members than entries
  EXPECT_EQ(std::count(table.begin(), table.end(), kNobody), 0);
  table = build_maglev(members(names(2, 0), {0, 0}), 7);
  EXPECT_EQ(std::count(table.begin(), table.end(), kNobody), 7);
  table = build_maglev({}, 7);
  EXPECT_EQ(std::count(table.begin(), table.end(), kNobody), 7);
}

TEST(Maglev, TakesPermutationsFromTheNameAlone) {
  const Permutation walk = permutation_of("mta1", kEntries);
  EXPECT_EQ(walk, permutation_of("mta1", kEntries));
  EXPECT_NE(walk, permutation_of("mta2", kEntries));
  for (int i = 0; i < 1000; i++) {
    const Permutation p = permutation_of("b" + std::to_string(i), 3);
    EXPECT_LT(p.offset, 3u);
    EXPECT_TRUE(p.skip == 1 || p.skip == 2);
  }
}

}  // namespace
}  // namespace sluice::control
