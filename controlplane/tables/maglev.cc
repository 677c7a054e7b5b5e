// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/maglev.h"

#include <xxhash.h>

#include <algorithm>
#include <cassert>
#include <numeric>

namespace sluice::control {

namespace {

constexpr uint64_t kOffsetSeed = 0;
constexpr uint64_t kSkipSeed = 1;

/// Which entries are taken. A bit each: at 65537 entries it stays in the first-level cache, where the table would not.
class TakenEntries {
 public:
  explicit TakenEntries(uint32_t entries) : words_(entries / 64 + 1) {}

  bool test(uint32_t entry) const { return ((words_[entry / 64] >> (entry % 64)) & 1) != 0; }
  void set(uint32_t entry) { words_[entry / 64] |= uint64_t{1} << (entry % 64); }

 private:
  std::vector<uint64_t> words_;
};

/// Whose turn it is, for every entry to be filled: member i's k-th turn is in round ceil(k * largest / weight_i),
/// members of one round in their order. A counting sort by round, so that its cost does not depend on the weights.
std::vector<uint16_t> turn_order(std::span<const uint32_t> weights, std::span<const uint32_t> shares,
                                 uint32_t entries) {
  const uint64_t largest = *std::max_element(weights.begin(), weights.end());
  const auto round_of = [&](size_t member, uint32_t turn) {
    if (weights[member] == largest) return turn;  // the usual case, without a division
    return static_cast<uint32_t>((turn * largest + weights[member] - 1) / weights[member]);
  };
  uint32_t last_round = 0;
  for (size_t i = 0; i < weights.size(); i++) {
    if (shares[i] != 0) last_round = std::max(last_round, round_of(i, shares[i]));
  }
  std::vector<uint32_t> rounds(entries);  // of each turn, by member
  std::vector<uint32_t> begin(last_round + 2);
  size_t turn = 0;
  for (size_t i = 0; i < weights.size(); i++) {
    for (uint32_t k = 1; k <= shares[i]; k++) {
      rounds[turn] = round_of(i, k);
      begin[rounds[turn++] + 1]++;
    }
  }
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  std::vector<uint16_t> order(entries);
  turn = 0;
  for (size_t i = 0; i < weights.size(); i++) {
    for (uint32_t k = 0; k < shares[i]; k++) order[begin[rounds[turn++]]++] = static_cast<uint16_t>(i);
  }
  return order;
}

}  // namespace

Permutation permutation_of(std::string_view name, uint32_t entries) {
  return {static_cast<uint32_t>(XXH64(name.data(), name.size(), kOffsetSeed) % entries),
          static_cast<uint32_t>(XXH64(name.data(), name.size(), kSkipSeed) % (entries - 1) + 1)};
}

std::vector<uint32_t> entry_shares(std::span<const uint32_t> weights, uint32_t entries) {
  std::vector<uint32_t> shares(weights.size());
  const uint64_t total = std::accumulate(weights.begin(), weights.end(), uint64_t{0});
  if (total == 0) return shares;
  uint64_t given = 0;
  std::vector<uint64_t> remainders(weights.size());
  for (size_t i = 0; i < weights.size(); i++) {
    const uint64_t exact = uint64_t{weights[i]} * entries;  // in units of 1 / total entries
    shares[i] = static_cast<uint32_t>(exact / total);
    remainders[i] = exact % total;
    given += shares[i];
  }
  std::vector<size_t> by_remainder(weights.size());
  std::iota(by_remainder.begin(), by_remainder.end(), size_t{0});
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  for (size_t i = 0; given < entries; i++, given++) shares[by_remainder[i]]++;
  return shares;
}

std::vector<uint16_t> fill_maglev(std::span<const uint32_t> weights, std::span<const Permutation> permutations,
                                  uint32_t entries) {
  assert(weights.size() == permutations.size() && weights.size() <= kNobody);
  std::vector<uint16_t> table(entries, kNobody);
  const std::vector<uint32_t> shares = entry_shares(weights, entries);
  if (std::all_of(shares.begin(), shares.end(), [](uint32_t share) { return share == 0; })) return table;

  std::vector<Permutation> walk(permutations.begin(), permutations.end());  // offset: where the walk stands
  TakenEntries taken(entries);
  for (const uint16_t member : turn_order(weights, shares, entries)) {
    const uint32_t skip = walk[member].skip;
    uint32_t entry = walk[member].offset;
    while (taken.test(entry)) {
      entry += skip;
      if (entry >= entries) entry -= entries;
    }
    taken.set(entry);
    table[entry] = member;
    walk[member].offset = entry;
  }
  return table;
}

std::vector<uint16_t> build_maglev(std::span<const MaglevMember> members, uint32_t entries) {
  std::vector<uint16_t> by_name(members.size());
  std::iota(by_name.begin(), by_name.end(), uint16_t{0});
  std::sort(by_name.begin(), by_name.end(), [&](uint16_t a, uint16_t b) { return members[a].name < members[b].name; });
  std::vector<uint32_t> weights;
  std::vector<Permutation> permutations;
  for (const uint16_t i : by_name) {
    weights.push_back(members[i].weight);
    permutations.push_back(permutation_of(members[i].name, entries));
  }
  std::vector<uint16_t> table = fill_maglev(weights, permutations, entries);
  for (uint16_t& entry : table) {
    if (entry != kNobody) entry = by_name[entry];
  }
  return table;
}

}  // namespace sluice::control
