// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/server_routes.h"

#include <fmt/format.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <tuple>
#include <utility>

namespace sluice::control {

namespace {

constexpr uint16_t kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

bool is_station(const netlink::Neighbor& neighbor) {
  if (neighbor.gone || (neighbor.state & kUsable) == 0 || !neighbor.mac) return false;
  return (neighbor.mac->bytes[0] & 1) == 0 && *neighbor.mac != MacAddress{};
}

config::IpPrefix prefix_of(const netlink::Route& route) {
  config::IpAddress address = route.destination;
  if (route.is_v4) address.bytes[10] = address.bytes[11] = 0xff;  // also of a default route
  return {address, static_cast<uint8_t>(route.prefix_bits + (route.is_v4 ? 96 : 0))};
}

/// The best route of a prefix.
struct Best {
  const netlink::Route* route;
  bool alone = true;     // no other has its metric
  bool special = false;  // some route of the prefix is

  bool plain() const { return alone && !special && route->hops.empty(); }
};

/// Whether a prefix is of the addresses that stand for the other family's, as ::ffff:0.0.0.0/96: nothing on a wire is.
bool is_mapped(const netlink::Route& route) {
  return !route.is_v4 && prefix_of(route).address.is_v4();
}

std::map<config::IpPrefix, Best> best_of(const std::vector<netlink::Route>& routes, bool v4) {
  std::map<config::IpPrefix, Best> out;
  for (const netlink::Route& route : routes) {
    if (route.is_v4 != v4 || route.dead || route.table != RT_TABLE_MAIN) continue;
    if (route.prefix_bits > (v4 ? 32 : 128) || is_mapped(route)) continue;
    if (is_link_local(Address{route.destination.bytes})) continue;  // each link has it, and no router passes it on
    const auto [known, is_new] = out.try_emplace(prefix_of(route), Best{&route});
    Best& best = known->second;
    best.special |= route.special;
    if (!is_new && route.metric == best.route->metric) best.alone = false;
    if (route.metric < best.route->metric) best = {&route, true, best.special};
  }
  return out;
}

struct Station {
  const netlink::Neighbor* entry;
  bool in_use = false;  // something is led to it
};

/// Ranges without what lies in those of others, which lead anywhere: it is the kernel's.
std::vector<RouteRange> without(const std::vector<RouteRange>& others, const std::vector<RouteRange>& ranges) {
  std::vector<RouteRange> out;
  uint32_t to = 0;
  bool is_others = false;
  for (size_t i = 0, j = 0; i < ranges.size() || j < others.size();) {
    const bool has_range = i < ranges.size() && (j == others.size() || ranges[i].first <= others[j].first);
    const bool has_other = j < others.size() && (i == ranges.size() || others[j].first <= ranges[i].first);
    const config::IpAddress first = has_range ? ranges[i].first : others[j].first;
    if (has_range) to = ranges[i++].to;
    if (has_other) is_others = others[j++].to != 0;
    const uint32_t now = is_others ? 0 : to;
    if (now != (out.empty() ? 0 : out.back().to)) out.push_back({first, now});
  }
  return out;
}

class Builder {
 public:
  Builder(const KernelRoutes& kernel, const RouteWays& ways) : kernel_(kernel) {
    for (const netlink::Link& link : kernel.links) {
      const auto way = ways.find(link.name);
      if (!link.gone && way != ways.end()) ways_.emplace(link.index, way->second);
    }
    for (const netlink::Neighbor& neighbor : kernel.neighbors) {
      if (is_station(neighbor)) stations_.insert_or_assign({neighbor.link, neighbor.address}, Station{&neighbor});
    }
  }

  /// The error says what there is too much of.
  std::expected<std::vector<RouteRange>, std::string> family(bool v4) {
    const auto best = best_of(kernel_.routes, v4);
    std::vector<RoutedPrefix> prefixes, by_route;
    std::vector<const netlink::Route*> on_link;
    for (const auto& [prefix, found] : best) {
      prefixes.push_back({prefix, lead(prefix, found)});
      const bool has_hosts = found.plain() && found.route->type == RTN_UNICAST && !found.route->gateway;
      if (has_hosts) on_link.push_back(found.route);
      by_route.push_back({prefix, has_hosts ? static_cast<uint32_t>(on_link.size()) : 0});
    }
    const std::vector<RouteRange> networks = ranges_of(std::move(by_route));
    for (auto& [key, station] : stations_) {
      const netlink::Neighbor* const neighbor = station.entry;
      if (neighbor->address.is_v4() != v4 || is_link_local(Address{neighbor->address.bytes}) ||
          !ways_.contains(neighbor->link))
        continue;
      const uint32_t network = look_up(networks, neighbor->address);
      if (network == 0 || on_link[network - 1]->link != neighbor->link) continue;
      prefixes.push_back({{neighbor->address, 128}, hop(station)});
      out_.hosts++;
    }
    std::vector<RoutedPrefix> own = local(v4);
    const size_t count = prefixes.size() + own.size();
    if (count > channel::kMaxServerRoutes)
      return std::unexpected(fmt::format("the kernel has {} {} routes and neighbours, more than {}", count,
                                         v4 ? "IPv4" : "IPv6", channel::kMaxServerRoutes));
    return without(ranges_of(std::move(own)), ranges_of(std::move(prefixes)));
  }

  ServerRoutes finish(const std::vector<RouteRange>& v4, const std::vector<RouteRange>& v6) {
    out_.table = ServerRouteTable::of(v4, v6, hops_);
    return std::move(out_);
  }
  size_t hops() const { return hops_.size(); }

 private:
  /// What the kernel takes for its own: its local table is asked first, and what it has of an address counts.
  std::vector<RoutedPrefix> local(bool v4) const {
    std::vector<RoutedPrefix> out;
    for (const netlink::Route& route : kernel_.routes)
      if (route.table == RT_TABLE_LOCAL && route.is_v4 == v4 && route.prefix_bits <= (v4 ? 32 : 128) &&
          !is_mapped(route))
        out.push_back({prefix_of(route), 1});
    return out;
  }

  /// The hop of a prefix, counted from 1; 0 if it stays with the kernel.
  uint32_t lead(const config::IpPrefix& prefix, const Best& best) {
    const netlink::Route& route = *best.route;
    const bool ours = ways_.contains(route.link);
    if (route.type != RTN_UNICAST || !ours) return 0;
    if (!best.plain()) return leave(prefix, route.hops.size() > 1 ? "it has several ways" : "it is not a plain one");
    if (!route.gateway) return 0;  // each of its hosts
    const auto station = stations_.find({route.link, *route.gateway});
    if (station == stations_.end())
      return leave(prefix, fmt::format("its gateway {} has no neighbour entry", route.gateway->to_string()));
    out_.prefixes++;
    return hop(station->second);
  }

  uint32_t leave(const config::IpPrefix& prefix, const std::string& why) {
    if (out_.left++ == 0) out_.why_left = fmt::format("{}: {}", prefix.to_string(), why);
    return 0;
  }

  uint32_t hop(Station& of) {
    const netlink::Neighbor& station = *of.entry;
    const RouteWay& way = ways_.at(station.link);
    const auto [known, is_new] =
        numbers_.try_emplace({station.link, station.mac->bytes}, static_cast<uint32_t>(hops_.size() + 1));
    if (is_new) hops_.push_back({*station.mac, way.vlan, way.port_index, {}});
    if (!std::exchange(of.in_use, true)) out_.in_use.push_back(station);
    return known->second;
  }

  const KernelRoutes& kernel_;
  std::map<int, RouteWay> ways_;  // by the twin's index
  std::map<std::pair<int, config::IpAddress>, Station> stations_;
  std::map<std::pair<int, decltype(MacAddress::bytes)>, uint32_t> numbers_;  // of hops_, from 1
  std::vector<channel::RouteHop> hops_;
  ServerRoutes out_;
};

}  // namespace

std::expected<ServerRoutes, std::string> server_routes(const KernelRoutes& kernel, const RouteWays& ways,
                                                       RoutedFamilies families) {
  Builder builder(kernel, ways);
  std::vector<RouteRange> ranges[2];
  for (const bool v4 : {true, false}) {
    if (!(v4 ? families.v4 : families.v6)) continue;
    auto found = builder.family(v4);
    if (!found) return std::unexpected(std::move(found.error()));
    ranges[v4 ? 0 : 1] = std::move(*found);
  }
  if (builder.hops() > channel::kMaxServerHops)
    return std::unexpected(fmt::format("{} stations, more than {}", builder.hops(), channel::kMaxServerHops));
  return builder.finish(ranges[0], ranges[1]);
}

std::vector<netlink::Neighbor> stale_ones(const std::vector<netlink::Neighbor>& in_use, size_t limit, size_t& next) {
  std::vector<netlink::Neighbor> out;
  for (size_t n = 0; n < in_use.size() && out.size() < limit; n++) {
    const netlink::Neighbor& entry = in_use[next++ % in_use.size()];
    if ((entry.state & NUD_STALE) != 0) out.push_back(entry);
  }
  return out;
}

}  // namespace sluice::control
