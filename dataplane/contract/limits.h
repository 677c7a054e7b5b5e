// SPDX-License-Identifier: Apache-2.0
//
// Limits on the sessions of a source: the rules, as control lays them into the arena, and what all workers together
// count by them, in the statistics, which control reads.
//
// The count of a prefix under a rule lies in a set of a few places by a keyed hash. A place is one word, of which every
// change is a compare-and-exchange: so it is never counted for a prefix that has meanwhile been displaced. A word is
//
//   tag of prefix and rule (32 bits) | layout (8) | open sessions (24)
//
// and 0 where the place is free. `layout` is that of the rules in force; whoever counts by others finds nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"

namespace sluice::channel {

inline constexpr uint16_t kMaxLimits = 8;

/// What a new connection hears that is over a limit.
enum class LimitAction : uint8_t { kDrop = 0, kReset, k421, kTarpit };

struct LimitRule {
  uint8_t v4_bits;  // length of the prefix that is counted as one source: 1 to 32
  uint8_t v6_bits;  // 1 to 128
  LimitAction action;
  uint8_t reserved;
  uint32_t connections;  // open at once; 0 = no limit
  uint32_t per_second;   // new ones; 0 = no limit
  uint32_t burst;        // of new ones at once, at least 1
};

/// What PutLimits refers to.
struct alignas(64) LimitRules {
  LimitRule rule[kMaxLimits];
  uint8_t rules_of[kMaxServices];       // by service: a bit for each rule that holds for it
  uint8_t clients_first[kMaxServices];  // by service, 0 or 1: a client that waits for TLS is reset instead of told 421
};

/// What is known of a counted prefix beside its word. Written by all workers, with relaxed stores.
struct alignas(64) LimitState {
  uint64_t arrival_ns;    // GCRA's theoretical arrival time (ITU-T I.371), CLOCK_MONOTONIC
  uint64_t refused;       // connections, since the place was taken
  uint64_t second;        // that `begun` is of, CLOCK_MONOTONIC
  uint32_t begun;         // sessions in that second
  uint32_t begun_before;  // in the one before it
  Address prefix;
  uint64_t rule;
  uint64_t reserved;
};

/// What all workers count by: a connection's epoch, and its PutLimits::layout. 0 if there are no rules.
inline uint64_t limit_layout(uint64_t epoch, uint32_t layout) {
  return epoch << 32 | layout;
}

struct LimitTable {
  static constexpr uint32_t kSets = 8192;
  static constexpr uint32_t kWays = 8;
  static constexpr uint32_t kOpenBits = 24;
  static constexpr uint64_t kOpenMask = (uint64_t{1} << kOpenBits) - 1;
  static constexpr uint32_t kLayoutBits = 8;

  alignas(64) uint64_t words[kSets][kWays];
  LimitState states[kSets][kWays];

  static uint32_t open_in(uint64_t word) { return static_cast<uint32_t>(word & kOpenMask); }
  static uint8_t layout_in(uint64_t word) { return static_cast<uint8_t>(word >> kOpenBits); }
  /// How words of a layout are marked; never 0.
  static uint8_t layout_mark(uint64_t layout) {
    return static_cast<uint8_t>(1 + (layout * 0x9e3779b97f4a7c15 >> 40) % 255);
  }
};

/// What a worker has refused by a rule, since the rules were others.
struct LimitCounters {
  uint64_t refused_connections;  // as too many were open
  uint64_t refused_rate;         // as they came too fast
  uint64_t cut;                  // handshakes that were under way beside others, and over the limit when they ended
  uint64_t uncounted;            // sessions of prefixes for which there was no place
};

static_assert(sizeof(LimitRule) == 16 && sizeof(LimitRules) % 64 == 0);
static_assert(sizeof(LimitState) == 64 && sizeof(LimitCounters) == 32);

}  // namespace sluice::channel
