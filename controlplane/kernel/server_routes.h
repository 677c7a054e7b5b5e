// SPDX-License-Identifier: Apache-2.0
//
// The kernel's routes and neighbours as workers are to route the mail servers' own traffic by them. Pure.
//
// A prefix is led to a station if its best route is a plain one: to one gateway whose MAC address is known, out of one
// of our ports. Of a network on the link, each host is that the kernel has a neighbour entry of. All else stays with
// the kernel: what its local table names, hosts without an entry, for which it asks; routes with several ways, by which
// it spreads; what is unreachable, about which it answers; what leaves by an interface that is no port's twin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/kernel/netlink.h"
#include "controlplane/tables/server_route_table.h"

namespace sluice::control {

/// A port, as a route that leaves by its twin is led through it.
struct RouteWay {
  uint8_t port_index = 0;
  uint16_t vlan = 0;
  friend bool operator==(const RouteWay&, const RouteWay&) = default;
};

/// By the twin's name.
using RouteWays = std::map<std::string, RouteWay>;

struct KernelRoutes {
  std::vector<netlink::Link> links;
  std::vector<netlink::Route> routes;  // of the main table and the local one
  std::vector<netlink::Neighbor> neighbors;
};

/// Which families the workers may route.
struct RoutedFamilies {
  bool v4 = false;
  bool v6 = false;
  friend bool operator==(const RoutedFamilies&, const RoutedFamilies&) = default;
};

struct ServerRoutes {
  std::shared_ptr<const ServerRouteTable> table;
  size_t prefixes = 0;  // that lead to a station
  size_t hosts = 0;     // on the links, likewise
  size_t left = 0;      // prefixes that stay with the kernel though they leave by one of our ports, in words `why_left`
  std::string why_left;                   // of the first of them
  std::vector<netlink::Neighbor> in_use;  // the entries that it was made of, each once
};

/// The error says what there is too much of.
std::expected<ServerRoutes, std::string> server_routes(const KernelRoutes& kernel, const RouteWays& ways,
                                                       RoutedFamilies families);

/// Stale ones of `in_use`, at most `limit`: those that are to be used, so that the kernel asks for them again. `next`:
/// where the next round goes on.
std::vector<netlink::Neighbor> stale_ones(const std::vector<netlink::Neighbor>& in_use, size_t limit, size_t& next);

}  // namespace sluice::control
