// SPDX-License-Identifier: Apache-2.0
//
// Where the mail servers' own traffic goes, ready for the arena (dataplane/contract/server_routes.h). Made from
// prefixes that may lie in one another: of those that hold an address the longest counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "config/model.h"
#include "controlplane/tables/arena_image.h"
#include "dataplane/contract/server_routes.h"

namespace sluice::control {

/// A prefix, and what it leads to.
struct RoutedPrefix {
  config::IpPrefix prefix;
  uint32_t to = 0;  // 0: nowhere
  friend bool operator==(const RoutedPrefix&, const RoutedPrefix&) = default;
};

/// Where a range of addresses begins, and what it leads to: up to the next one, or to the last address.
struct RouteRange {
  config::IpAddress first;
  uint32_t to = 0;
  friend bool operator==(const RouteRange&, const RouteRange&) = default;
};

/// What prefixes of one family come to, ascending; neighbours differ. Of equal prefixes the last counts.
std::vector<RouteRange> ranges_of(std::vector<RoutedPrefix> prefixes);

/// What an address is led to by ranges of its family; 0: nowhere.
uint32_t look_up(std::span<const RouteRange> ranges, const config::IpAddress& address);

/// Immutable once shared.
class ServerRouteTable {
 public:
  /// Of ranges by `ranges_of()`, at most channel::kMaxServerRouteBorders of each family; `to` counts `hops` from 1.
  static std::shared_ptr<const ServerRouteTable> of(std::span<const RouteRange> v4, std::span<const RouteRange> v6,
                                                    std::span<const channel::RouteHop> hops);

  /// Null: it leads nowhere.
  const channel::RouteHop* find(const config::IpAddress& address) const;
  const channel::ServerRoutesLayout& layout() const { return layout_; }
  /// As it is to lie in the arena: layout().bytes() bytes.
  std::span<const std::byte> image() const { return image_.bytes(); }
  bool is_like(const ServerRouteTable& other) const;

 private:
  channel::ServerRoutesLayout layout_;
  ArenaImage image_;
};

}  // namespace sluice::control
