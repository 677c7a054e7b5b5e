// SPDX-License-Identifier: Apache-2.0
//
// How many sessions of a source are open, and how fast they come (GCRA, ITU-T I.371), in the table that all workers
// share (contract/limits.h). What is asked for a new connection changes nothing; only sessions that are open are
// counted, so that forged SYNs count against nobody. A full set displaces what has nothing open, the longest idle
// first; where all have, a session stays uncounted, and taking it away again ends at 0.
//
// Thread safety: any number of workers. A word changes by compare-and-exchange alone, relaxed: nothing else is
// published by it. Two workers that meet a new prefix at once may lose a session of it, and its first new ones may be
// judged by what was displaced: both for as long as a few instructions take.
#pragma once

#include "dataplane/contract/limits.h"
#include "dataplane/flow/keyed_hash.h"

namespace sluice {

/// A rule's rate as it is judged.
struct LimitRate {
  uint64_t interval_ns = 0;   // between two; 0 = no limit
  uint64_t tolerance_ns = 0;  // so far ahead of time they may come

  static LimitRate of(const channel::LimitRule& rule) noexcept {
    if (rule.per_second == 0) return {};
    constexpr uint64_t kSecondNs = 1'000'000'000;
    const uint64_t interval_ns = kSecondNs / rule.per_second;
    return {interval_ns, interval_ns * (rule.burst == 0 ? 0 : rule.burst - 1)};
  }
};

/// Where a prefix is counted under a rule.
struct LimitKey {
  Address prefix;
  uint32_t set;
  uint32_t rule;
  uint64_t word;  // with nothing open; its upper bits are the tag and the layout
};

enum class LimitVerdict : uint8_t { kPasses, kTooMany, kTooFast };

class LimitCounts {
 public:
  /// `table` may be null: nothing is counted then.
  LimitCounts(channel::LimitTable* table, uint64_t secret) noexcept : table_(table), secret_(secret) {}

  bool is_there() const noexcept { return table_ != nullptr; }
  /// From now on what is counted by another layout is not there.
  void begin(uint64_t layout) noexcept { layout_ = layout; }

  LimitKey key(const Address& prefix, uint32_t rule) const noexcept {
    const uint64_t hash = keyed_hash({prefix, Be16{static_cast<uint16_t>(rule)}}, secret_ ^ layout_ * kMixC);
    const uint64_t mark = channel::LimitTable::layout_mark(layout_);
    const uint64_t word = hash << kMarkEnd | mark << channel::LimitTable::kOpenBits;
    return {prefix, static_cast<uint32_t>((hash >> 32) % channel::LimitTable::kSets), rule, word};
  }

  /// Whether one more session may begin.
  LimitVerdict judge(const LimitKey& key, uint32_t connections, LimitRate rate, uint64_t now_ns) const noexcept;
  /// A session is open. False: it is not counted, as there is no place for its source.
  bool add(const LimitKey& key) noexcept;
  /// A session that was added is open no more.
  void remove(const LimitKey& key) noexcept;
  /// A session of a source that has been added is a new one.
  void charge(const LimitKey& key, LimitRate rate, uint64_t now_ns) noexcept;
  void note_refused(const LimitKey& key) noexcept;
  uint32_t open(const LimitKey& key) const noexcept;

 private:
  static constexpr uint32_t kNoWay = channel::LimitTable::kWays;
  static constexpr uint32_t kMarkEnd = channel::LimitTable::kOpenBits + channel::LimitTable::kLayoutBits;

  uint64_t* set(const LimitKey& key) const noexcept { return table_->words[key.set]; }
  static bool is_of(uint64_t word, const LimitKey& key) noexcept {
    return (word & ~channel::LimitTable::kOpenMask) == key.word;
  }
  uint32_t find(const LimitKey& key) const noexcept;
  uint32_t choose_place(const LimitKey& key, uint64_t& word) const noexcept;
  bool take_place(const LimitKey& key, uint32_t way, uint64_t word) noexcept;

  channel::LimitTable* table_;
  uint64_t secret_;
  uint64_t layout_ = 0;
};

}  // namespace sluice
