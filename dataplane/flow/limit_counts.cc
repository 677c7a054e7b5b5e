// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/limit_counts.h"

#include <algorithm>

namespace sluice {
namespace {

using channel::LimitState;
using channel::LimitTable;

template <typename T>
T peek(const T& value) noexcept {
  return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

template <typename T, typename V>
void put(T& value, V now) noexcept {
  __atomic_store_n(&value, static_cast<T>(now), __ATOMIC_RELAXED);
}

bool exchange(uint64_t& word, uint64_t& expected, uint64_t wanted) noexcept {
  return __atomic_compare_exchange_n(&word, &expected, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

}  // namespace

uint32_t LimitCounts::find(const LimitKey& key) const noexcept {
  const uint64_t* const words = set(key);
  for (uint32_t way = 0; way < LimitTable::kWays; way++) {
    if (is_of(peek(words[way]), key)) return way;
  }
  return kNoWay;
}

LimitVerdict LimitCounts::judge(const LimitKey& key, uint32_t connections, LimitRate rate,
                                uint64_t now_ns) const noexcept {
  const uint32_t way = find(key);
  if (way == kNoWay) return LimitVerdict::kPasses;
  if (connections != 0 && LimitTable::open_in(peek(set(key)[way])) >= connections) return LimitVerdict::kTooMany;
  if (rate.interval_ns == 0) return LimitVerdict::kPasses;
  const bool early = peek(table_->states[key.set][way].arrival_ns) > now_ns + rate.tolerance_ns;
  return early ? LimitVerdict::kTooFast : LimitVerdict::kPasses;
}

bool LimitCounts::add(const LimitKey& key) noexcept {
  constexpr uint32_t kTries = 16;  // more are lost to other workers only if these hold still
  uint64_t* const words = set(key);
  for (uint32_t attempt = 0; attempt < kTries; attempt++) {
    const uint32_t way = find(key);
    if (way != kNoWay) {
      uint64_t word = peek(words[way]);
      if (LimitTable::open_in(word) == LimitTable::kOpenMask) return false;
      if (is_of(word, key) && exchange(words[way], word, word + 1)) return true;
      continue;
    }
    uint64_t word;
    const uint32_t place = choose_place(key, word);
    if (place == kNoWay) return false;
    if (take_place(key, place, word)) return true;
  }
  return false;
}

/// The place that gives way to a new prefix, and what it holds: a free one, one of another layout, or the one with
/// nothing open that has been idle longest.
uint32_t LimitCounts::choose_place(const LimitKey& key, uint64_t& word) const noexcept {
  const uint64_t* const words = set(key);
  const uint8_t mark = LimitTable::layout_in(key.word);
  uint32_t best = kNoWay;
  uint64_t best_ns = 0;
  for (uint32_t way = 0; way < LimitTable::kWays; way++) {
    const uint64_t there = peek(words[way]);
    if (there == 0 || LimitTable::layout_in(there) != mark) return word = there, way;
    const uint64_t arrival_ns = peek(table_->states[key.set][way].arrival_ns);
    if (LimitTable::open_in(there) != 0 || (best != kNoWay && arrival_ns >= best_ns)) continue;
    best = way;
    best_ns = arrival_ns;
    word = there;
  }
  return best;
}

/// Takes a place for a prefix's first session. False: it is to be tried again.
bool LimitCounts::take_place(const LimitKey& key, uint32_t way, uint64_t word) noexcept {
  uint64_t* const words = set(key);
  if (!exchange(words[way], word, key.word | 1)) return false;
  LimitState& state = table_->states[key.set][way];
  put(state.arrival_ns, 0);
  put(state.refused, 0);
  put(state.second, 0);
  put(state.begun, 0);
  put(state.begun_before, 0);
  put(state.rule, key.rule);
  state.prefix = key.prefix;
  // Another worker may have done the same: of two places the first one counts.
  if (find(key) == way) return true;
  word = peek(words[way]);
  while (is_of(word, key) && !exchange(words[way], word, 0)) {
  }
  return false;
}

void LimitCounts::remove(const LimitKey& key) noexcept {
  const uint32_t way = find(key);
  if (way == kNoWay) return;
  uint64_t& word = set(key)[way];
  uint64_t there = peek(word);
  while (is_of(there, key) && LimitTable::open_in(there) != 0 && !exchange(word, there, there - 1)) {
  }
}

void LimitCounts::charge(const LimitKey& key, LimitRate rate, uint64_t now_ns) noexcept {
  constexpr uint64_t kSecondNs = 1'000'000'000;
  const uint32_t way = find(key);
  if (way == kNoWay) return;
  LimitState& state = table_->states[key.set][way];
  uint64_t arrival_ns = peek(state.arrival_ns);
  while (!exchange(state.arrival_ns, arrival_ns, std::max(arrival_ns, now_ns) + rate.interval_ns)) {
  }
  const uint64_t second = now_ns / kSecondNs;
  const uint64_t last = peek(state.second);
  if (last != second) {
    put(state.begun_before, last + 1 == second ? peek(state.begun) : 0);
    put(state.begun, 0);
    put(state.second, second);
  }
  __atomic_fetch_add(&state.begun, 1, __ATOMIC_RELAXED);
}

void LimitCounts::note_refused(const LimitKey& key) noexcept {
  const uint32_t way = find(key);
  if (way != kNoWay) __atomic_fetch_add(&table_->states[key.set][way].refused, 1, __ATOMIC_RELAXED);
}

uint32_t LimitCounts::open(const LimitKey& key) const noexcept {
  const uint32_t way = find(key);
  return way == kNoWay ? 0 : LimitTable::open_in(peek(set(key)[way]));
}

}  // namespace sluice
