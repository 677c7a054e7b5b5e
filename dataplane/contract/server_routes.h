// SPDX-License-Identifier: Apache-2.0
//
// Where the mail servers' own traffic goes, as control lays it into the arena and workers look into it: the kernel's
// routes and neighbours. Prefixes that lie in one another are cut into ranges that do not overlap. The borders of the
// ranges are a list as of source_list.h; beside each stands the hop of the range that it begins, or 0: what is for that
// range, and below the first border, is the kernel's.
//
// The longest prefix is found by one walk down a tree of as many lines of memory as the table has need of: two for the
// few routes that most sites have, seven at most. perf/bench_routes holds it against DPDK's rte_fib, which is 10 to 60
// ns faster, of a packet's 90 to 120, in tables of 32 MiB (IPv4) and 64 (IPv6) of huge pages, however few the routes.
//
// Control may write while a worker reads: every place is held within its part, and the port of a hop is to be checked.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/contract/source_list.h"

namespace sluice::channel {

/// Prefixes and hosts of each family. Each begins a range, and ends one.
inline constexpr uint32_t kMaxServerRoutes = 65536;
inline constexpr uint32_t kMaxServerRouteBorders = 2 * kMaxServerRoutes;
inline constexpr uint32_t kMaxServerHops = 65535;

/// A station to which packets are handed.
struct RouteHop {
  MacAddress mac;
  uint16_t vlan;
  uint8_t port_index;
  uint8_t reserved[7];

  friend bool operator==(const RouteHop&, const RouteHop&) = default;
};

static_assert(sizeof(RouteHop) == 16);

/// Where a range begins, and the hop that it leads to, counted from 1; 0: it is the kernel's.
struct RouteBorder {
  Address first;
  uint16_t hop;
};

/// Where the parts of a table lie, from its start, which is aligned to a cache line: the borders, the hops of IPv4's
/// ranges, of IPv6's (uint16_t, counted from 1), the stations.
struct ServerRoutesLayout {
  SourceListLayout borders;
  uint32_t hops = 0;

  static constexpr ServerRoutesLayout of(uint32_t v4_borders, uint32_t v6_borders, uint32_t hops) {
    return {SourceListLayout::of(v4_borders, v6_borders), hops};
  }
  constexpr size_t v4_offset() const { return borders.bytes(); }
  constexpr size_t v6_offset() const { return v4_offset() + lines(size_t{borders.v4.keys} * sizeof(uint16_t)); }
  constexpr size_t hops_offset() const { return v6_offset() + lines(size_t{borders.v6.keys} * sizeof(uint16_t)); }
  constexpr size_t bytes() const { return hops_offset() + lines(size_t{hops} * sizeof(RouteHop)); }

  /// Writes the `bytes` of a table, which are 0 before, of as many borders and hops as it was laid out for.
  void write(std::span<const RouteBorder> v4, std::span<const RouteBorder> v6, std::span<const RouteHop> to,
             std::byte* out) const {
    borders.write([v4](uint32_t i) { return v4[i].first; }, [v6](uint32_t i) { return v6[i].first; }, out);
    auto* const v4_hops = reinterpret_cast<uint16_t*>(out + v4_offset());
    auto* const v6_hops = reinterpret_cast<uint16_t*>(out + v6_offset());
    for (size_t i = 0; i < v4.size(); i++) v4_hops[i] = v4[i].hop;
    for (size_t i = 0; i < v6.size(); i++) v6_hops[i] = v6[i].hop;
    std::copy(to.begin(), to.end(), reinterpret_cast<RouteHop*>(out + hops_offset()));
  }

 private:
  static constexpr size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }
};

/// A table in memory, to look into.
struct ServerRoutesView {
  ServerRoutesLayout layout;
  const std::byte* base = nullptr;  // null: it is empty

  /// Null: it is the kernel's.
  const RouteHop* find(const Address& destination) const noexcept {
    if (base == nullptr) return nullptr;
    const uint32_t place = SourceListView{layout.borders, base}.count_to(destination);
    if (place == 0) return nullptr;
    const size_t offset = destination.is_v4() ? layout.v4_offset() : layout.v6_offset();
    const uint16_t hop = reinterpret_cast<const uint16_t*>(base + offset)[place - 1];
    if (hop == 0 || hop > layout.hops) return nullptr;
    return reinterpret_cast<const RouteHop*>(base + layout.hops_offset()) + (hop - 1);
  }
};

}  // namespace sluice::channel
