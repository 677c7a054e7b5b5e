// SPDX-License-Identifier: Apache-2.0
//
// A budget that many sources share, and that none of them can use up alone: for packets without a flow. Whoever comes
// may have what there is, but for a reserve; the reserve is for sources that keep within their share. A source has a
// place as long as it is heard from, and each place a share of the rate (GCRA, ITU-T I.371 section 5.4.4.1). All shares
// together are a kReserve-th of the rate: who has a place and keeps within it is served, whatever the others send.
// Nobody loses a place to a newcomer: sources that are forged by the million leave those alone that were there before,
// and get what these leave over. A newcomer that finds no place is one of them. But one that cannot be forged from afar
// takes the place of one that can.
//
// Bounded: kSets sets of kWays places, a kilobyte. Thread safety: none; one worker owns it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/base/token_bucket.h"
#include "dataplane/flow/keyed_hash.h"

namespace sluice {

/// What a budget's source is called, of its address and a number (such as a protocol) that tells kinds of its packets
/// apart. An IPv6 source is its /64, as whoever has one address of that has all; on the link (`on_link`: it is known to
/// be there) each address is one.
inline uint64_t source_name(Address source, uint16_t kind, uint64_t secret, bool on_link = false) noexcept {
  on_link |= source.bytes[0] == 0xfe && (source.bytes[1] & 0xc0) == 0x80;  // fe80::/10
  if (!source.is_v4() && !on_link) std::memset(&source.bytes[8], 0, 8);
  return keyed_hash({source, Be16{kind}}, secret);
}

class SourceBudget {
 public:
  static constexpr uint32_t kSets = 16, kWays = 4;
  static constexpr uint32_t kReserve = 4;
  static constexpr uint32_t kShareBurst = 4;
  static constexpr uint32_t kUsualIdleMs = 1000;  // after which a source's place is another's

  SourceBudget() noexcept = default;
  /// As TokenBucket's. `idle_ms`: as long a source keeps its place without a word.
  SourceBudget(uint32_t per_second, uint32_t burst, uint64_t now_ms, uint32_t idle_ms = kUsualIdleMs) noexcept
      : tokens_(per_second, burst, now_ms),
        reserved_(burst / kReserve),
        interval_us_(per_second == 0 ? 0 : uint64_t{1'000'000} * kReserve * kSets * kWays / per_second),
        idle_us_(uint64_t{idle_ms} * 1000) {}

  /// Takes a token for a source, of which `name` is source_name(), if there is one for it. `on_link`: nobody from afar
  /// can have sent it; a source is always so or never.
  bool take(uint64_t name, uint64_t now_ms, bool on_link = false) noexcept {
    return tokens_.take(now_ms, is_within_share(name, now_ms * 1000, on_link) ? 0 : reserved_);
  }

  /// So many tokens of a full budget may a source have at once that keeps within no share.
  static constexpr uint32_t unreserved(uint32_t burst) noexcept { return burst - burst / kReserve; }

 private:
  struct Place {
    uint32_t tag = 0;  // 0: free
    bool on_link = false;
    uint64_t next_us = 0;  // when the next packet of a source that sends evenly would come
  };
  struct alignas(64) Set {
    std::array<Place, kWays> places;
  };

  /// The source's place: its own, one that nobody has used lately or, on the link, the one of those from afar that has
  /// been silent for longest; null if there is none.
  Place* find(uint64_t name, uint64_t now_us, bool on_link) noexcept {
    const uint32_t tag = static_cast<uint32_t>(name) | 1;
    Place* unused = nullptr;
    Place* from_afar = nullptr;
    for (Place& place : sets_[(name >> 32) % kSets].places) {
      if (place.tag == tag) return &place;
      if (place.tag == 0 || place.next_us + idle_us_ < now_us) unused = &place;
      if (!place.on_link && (from_afar == nullptr || place.next_us < from_afar->next_us)) from_afar = &place;
    }
    Place* const out = unused == nullptr && on_link ? from_afar : unused;
    if (out != nullptr) *out = {tag, on_link, now_us};
    return out;
  }

  bool is_within_share(uint64_t name, uint64_t now_us, bool on_link) noexcept {
    Place* place = find(name, now_us, on_link);
    if (place == nullptr || place->next_us > now_us + interval_us_ * (kShareBurst - 1)) return false;
    place->next_us = std::max(place->next_us, now_us) + interval_us_;
    return true;
  }

  static_assert(sizeof(Set) == 64);

  TokenBucket tokens_;
  uint32_t reserved_ = 0;
  uint64_t interval_us_ = 0;
  uint64_t idle_us_ = 0;
  std::array<Set, kSets> sets_{};
};

}  // namespace sluice
