// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/server_route_table.h"

#include <algorithm>
#include <optional>

namespace sluice::control {

namespace {

/// The address behind the last of a prefix; nothing behind the last one of its family.
std::optional<config::IpAddress> behind(const config::IpPrefix& prefix) {
  config::IpAddress out = prefix.address;
  const size_t first = Address{prefix.address.bytes}.is_v4() ? 12 : 0;
  if (prefix.bits <= first * 8) return std::nullopt;  // all of the family
  for (size_t byte = (prefix.bits - 1U) / 8; byte + 1 > first; byte--) {
    const auto step = static_cast<uint8_t>(byte == (prefix.bits - 1U) / 8 ? 0x80U >> (prefix.bits - 1U) % 8 : 1U);
    out.bytes[byte] = static_cast<uint8_t>(out.bytes[byte] + step);
    if (out.bytes[byte] >= step) return out;  // nothing to carry
    if (byte == 0) break;
  }
  return std::nullopt;
}

/// A prefix that has begun, while others may begin in it.
struct Open {
  std::optional<config::IpAddress> end;
  uint32_t to;
};

void begin(std::vector<RouteRange>& out, const config::IpAddress& first, uint32_t to) {
  if (!out.empty() && out.back().first == first) out.pop_back();
  const uint32_t before = out.empty() ? 0 : out.back().to;
  if (before != to) out.push_back({first, to});
}

std::vector<channel::RouteBorder> borders_of(std::span<const RouteRange> ranges) {
  std::vector<channel::RouteBorder> out;
  out.reserve(ranges.size());
  for (const RouteRange& range : ranges) out.push_back({{range.first.bytes}, static_cast<uint16_t>(range.to)});
  return out;
}

}  // namespace

std::vector<RouteRange> ranges_of(std::vector<RoutedPrefix> prefixes) {
  // By where they begin, and the shorter before those that lie in it.
  std::ranges::stable_sort(prefixes, {}, &RoutedPrefix::prefix);
  std::vector<RouteRange> out;
  std::vector<Open> open;
  const auto close_until = [&](const config::IpAddress* next) {
    while (!open.empty() && (next == nullptr || (open.back().end && *open.back().end <= *next))) {
      const std::optional<config::IpAddress> end = open.back().end;
      open.pop_back();
      if (end) begin(out, *end, open.empty() ? 0 : open.back().to);
    }
  };
  for (const RoutedPrefix& each : prefixes) {
    close_until(&each.prefix.address);
    begin(out, each.prefix.address, each.to);
    open.push_back({behind(each.prefix), each.to});
  }
  close_until(nullptr);
  return out;
}

uint32_t look_up(std::span<const RouteRange> ranges, const config::IpAddress& address) {
  const auto above = std::ranges::upper_bound(ranges, address, {}, &RouteRange::first);
  return above == ranges.begin() ? 0 : std::prev(above)->to;
}

std::shared_ptr<const ServerRouteTable> ServerRouteTable::of(std::span<const RouteRange> v4,
                                                             std::span<const RouteRange> v6,
                                                             std::span<const channel::RouteHop> hops) {
  auto out = std::make_shared<ServerRouteTable>();
  out->layout_ = channel::ServerRoutesLayout::of(static_cast<uint32_t>(v4.size()), static_cast<uint32_t>(v6.size()),
                                                 v4.empty() && v6.empty() ? 0 : static_cast<uint32_t>(hops.size()));
  if (v4.empty() && v6.empty()) return out;
  out->image_ = ArenaImage(out->layout_.bytes());
  out->layout_.write(borders_of(v4), borders_of(v6), hops, out->image_.data());
  return out;
}

const channel::RouteHop* ServerRouteTable::find(const config::IpAddress& address) const {
  return channel::ServerRoutesView{layout_, image_.data()}.find({address.bytes});
}

bool ServerRouteTable::is_like(const ServerRouteTable& other) const {
  return layout_.borders.v4.keys == other.layout_.borders.v4.keys &&
         layout_.borders.v6.keys == other.layout_.borders.v6.keys && layout_.hops == other.layout_.hops &&
         std::ranges::equal(image(), other.image());
}

}  // namespace sluice::control
