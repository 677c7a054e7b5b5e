// SPDX-License-Identifier: Apache-2.0
//
// The sources that may not begin sessions, as control lays them into the arena and workers look into it: for each
// family the borders of the blocked ranges, in ascending order. Those at even places begin a range, those at odd
// places end one (they are the first address behind it); so an address is blocked if an odd number of borders is not
// above it. What is exempt has been cut out already.
//
// Of a million a /32 costs 10.6 bytes, an IPv6 prefix 38. DPDK's rte_fib would take a kilobyte for each /24 with a host
// in it, and rte_fib6 several for each /64.
//
// Control may write while a worker reads: the worst is a wrong answer.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/contract/address.h"
#include "dataplane/contract/sorted_keys.h"

namespace sluice::channel {

/// Of the prefixes in a list, of both families together; each has at most two borders.
inline constexpr uint32_t kMaxSourcePrefixes = 1U << 20;
inline constexpr uint32_t kMaxSourceBorders = 2 * kMaxSourcePrefixes;
static_assert(kMaxSourceBorders <= kMaxSortedKeys);

/// The halves of an IPv6 address, as numbers.
struct AddressHalves {
  uint64_t high, low;
};

inline AddressHalves halves(const Address& address) noexcept {
  std::array<uint64_t, 2> words;
  std::memcpy(words.data(), address.bytes.data(), sizeof words);
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}

/// What a list begins with.
struct alignas(64) SourceListHeader {
  // No IPv6 prefix is longer than /64: every lower half of a border is 0, and none has to be looked at.
  uint8_t only_networks = 0;
};

/// Where the parts of a list lie, from its start, which is aligned to a cache line: the header, the IPv4 borders, the
/// upper halves of the IPv6 borders, their lower halves. One without borders has no parts.
struct SourceListLayout {
  SortedKeys<uint32_t> v4;
  SortedKeys<uint64_t> v6;

  static constexpr SourceListLayout of(uint32_t v4_borders, uint32_t v6_borders) {
    return {SortedKeys<uint32_t>::of(v4_borders), SortedKeys<uint64_t>::of(v6_borders)};
  }
  constexpr size_t v4_offset() const { return v4.keys + v6.keys == 0 ? 0 : sizeof(SourceListHeader); }
  constexpr size_t v6_offset() const { return v4_offset() + size_t{v4.nodes} * 64; }
  constexpr size_t lows_offset() const { return v6_offset() + size_t{v6.nodes} * 64; }
  constexpr size_t bytes() const { return lows_offset() + (size_t{v6.keys} * sizeof(uint64_t) + 63) / 64 * 64; }

  /// Writes the `bytes` of a list, which are 0 before. `v4_at`, `v6_at`: the Address of a border, by its place; each
  /// family's ascend.
  template <typename V4At, typename V6At>
  void write(V4At v4_at, V6At v6_at, std::byte* out) const {
    if (bytes() == 0) return;
    auto* const numbers = reinterpret_cast<uint32_t*>(out + v4_offset());
    for (uint32_t i = 0; i < v4.keys; i++) numbers[i] = v4_at(i).v4_part().host();
    v4.build(numbers);
    auto* const highs = reinterpret_cast<uint64_t*>(out + v6_offset());
    auto* const lows = reinterpret_cast<uint64_t*>(out + lows_offset());
    auto* const header = reinterpret_cast<SourceListHeader*>(out);
    header->only_networks = 1;
    for (uint32_t i = 0; i < v6.keys; i++) {
      const AddressHalves of = halves(v6_at(i));
      highs[i] = of.high;
      lows[i] = of.low;
      if (of.low != 0) header->only_networks = 0;
    }
    v6.build(highs);
  }
};

/// A list in memory, to look into.
struct SourceListView {
  SourceListLayout layout;
  const std::byte* base = nullptr;  // null: it is empty

  /// How many borders of its family are not above an address.
  uint32_t count_to(const Address& address) const noexcept {
    if (address.is_v4()) return layout.v4.count_to(borders_v4(), address.v4_part().host());
    if (layout.v6.keys == 0) return 0;
    const AddressHalves of = halves(address);
    if (only_networks()) return layout.v6.count_to(highs(), of.high);
    return count_from(of.high == 0 ? 0 : layout.v6.count_to(highs(), of.high - 1), of);
  }

  bool contains(const Address& source) const noexcept { return base != nullptr && (count_to(source) & 1) != 0; }

  /// The same of several sources at once, all of one family and at most kAtOnce: in `found`.
  void contains(std::span<const Address* const> sources, std::span<bool> found) const noexcept {
    const size_t n = sources.size();
    std::fill_n(found.begin(), n, false);
    if (base == nullptr || n == 0) return;
    std::array<uint32_t, kAtOnce> counts;
    if (sources[0]->is_v4()) {
      std::array<uint32_t, kAtOnce> keys;
      for (size_t i = 0; i < n; i++) keys[i] = sources[i]->v4_part().host();
      layout.v4.count_to(borders_v4(), std::span(keys).first(n), counts);
      for (size_t i = 0; i < n; i++) found[i] = (counts[i] & 1) != 0;
      return;
    }
    if (layout.v6.keys == 0) return;
    std::array<uint64_t, kAtOnce> keys;
    const uint64_t lower = only_networks() ? 0 : 1;
    for (size_t i = 0; i < n; i++) keys[i] = halves(*sources[i]).high - lower;
    layout.v6.count_to(highs(), std::span(keys).first(n), counts);
    if (lower == 0) {
      for (size_t i = 0; i < n; i++) found[i] = (counts[i] & 1) != 0;
      return;
    }
    for (size_t i = 0; i < n; i++) {
      __builtin_prefetch(highs() + counts[i]);
      __builtin_prefetch(lows() + counts[i]);
    }
    for (size_t i = 0; i < n; i++) {
      const AddressHalves of = halves(*sources[i]);
      found[i] = (count_from(of.high == 0 ? 0 : counts[i], of) & 1) != 0;
    }
  }
  static constexpr size_t kAtOnce = SortedKeys<uint32_t>::kAtOnce;

 private:
  static constexpr uint32_t kFewHosts = 8;  // borders in one /64 that are looked at one after the other

  bool only_networks() const noexcept { return reinterpret_cast<const SourceListHeader*>(base)->only_networks != 0; }
  const uint32_t* borders_v4() const noexcept { return reinterpret_cast<const uint32_t*>(base + layout.v4_offset()); }
  const uint64_t* highs() const noexcept { return reinterpret_cast<const uint64_t*>(base + layout.v6_offset()); }
  const uint64_t* lows() const noexcept { return reinterpret_cast<const uint64_t*>(base + layout.lows_offset()); }

  /// Whether the IPv6 border at a place, of which all before are not above an address, is not above it either, and has
  /// the same upper half.
  bool is_reached(uint32_t place, AddressHalves of) const noexcept {
    const uint32_t held = std::min(place, layout.v6.keys - 1);
    return (static_cast<int>(place == held) & static_cast<int>(highs()[held] == of.high) &
            static_cast<int>(lows()[held] <= of.low)) != 0;
  }

  /// How many IPv6 borders are not above an address: those with a lower upper half, `begin` of them, and of those with
  /// the same the ones whose lower half is not above its own.
  uint32_t count_from(uint32_t begin, AddressHalves of) const noexcept {
    // The two of a lone prefix without a branch: who is blocked cannot be foretold.
    begin += is_reached(begin, of) ? 1 : 0;
    begin += is_reached(begin, of) ? 1 : 0;
    if (!is_reached(begin, of)) [[likely]]
      return begin;
    for (const uint32_t near = begin + kFewHosts; begin < near; begin++) {
      if (!is_reached(begin, of)) return begin;
    }
    const uint64_t* const lows = this->lows();
    const auto [high, low] = of;
    uint32_t end = layout.v6.count_to(highs(), high);
    while (begin < end) {
      const uint32_t middle = begin + (end - begin) / 2;
      if (lows[middle] <= low) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }
};

}  // namespace sluice::channel
