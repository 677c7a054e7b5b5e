// SPDX-License-Identifier: Apache-2.0
//
// SYNs that the worker has dropped because it was behind, so that one that comes again can be told from one that comes
// for the first time. A client's TCP repeats its SYN, with the same ports and number, after a second, three and seven
// (RFC 6298 section 5; at least that long everywhere); a flood's forged ones come once. A place is overwritten by the
// next SYN that falls on it: at half a million dropped a second, four of five are still there after a second. Where a
// SYN falls hangs on a secret of the flow table: nobody can aim. Thread safety: none; one worker owns it.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/placement.h"

namespace sluice {

class DroppedSyns {
 public:
  static constexpr uint32_t kPlaces = 1U << 21;
  /// What comes sooner is no client's repetition, what comes later is another connection's.
  static constexpr uint64_t kSoonestMs = 512;
  static constexpr uint64_t kLatestMs = 8192;

  /// For comes_again() of the same SYN, some packets later.
  void prefetch(uint64_t source_hash, uint32_t sequence) const noexcept {
    __builtin_prefetch(&places_[place_of(hash(source_hash, sequence))], 1);
  }

  /// Whether this SYN was dropped before, or last passed, as long ago as a client waits. It is remembered from now on:
  /// a flood of a few SYNs that come all the time passes twice a second. `source_hash`: of its source, under a secret.
  bool comes_again(uint64_t source_hash, uint32_t sequence, uint64_t now_ms) noexcept {
    const uint64_t hash = DroppedSyns::hash(source_hash, sequence);
    uint32_t& place = places_[place_of(hash)];
    const uint32_t tag = static_cast<uint32_t>(hash >> 32) | kTaken;  // its low half is the time's
    const auto now = static_cast<uint16_t>(now_ms / kTickMs);
    const bool is_known = (place ^ tag) >> 16 == 0;
    const auto age = static_cast<uint16_t>(now - static_cast<uint16_t>(place));
    if (is_known && age < kSoonestMs / kTickMs) return false;
    place = (tag & 0xffff0000U) | now;
    return is_known && age <= kLatestMs / kTickMs;
  }

 private:
  static constexpr uint64_t kTickMs = 64;
  static constexpr uint32_t kTaken = 1U << 31;  // no tag is that of a place never taken

  static uint64_t hash(uint64_t source_hash, uint32_t sequence) noexcept {
    return fold_multiply(source_hash ^ kMixA, sequence ^ kMixB);
  }
  static uint32_t place_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash) % kPlaces; }

  std::vector<uint32_t> places_ = std::vector<uint32_t>(kPlaces);  // eight megabytes, there before the first packet
};

}  // namespace sluice
