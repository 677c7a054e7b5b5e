// SPDX-License-Identifier: Apache-2.0
//
// The traffic of a rig's backends for themselves: frames, and the table by which it is routed.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "dataplane/packet/checksum.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kArenaPlace = 8U << 20;  // behind the service's table, in bytes
constexpr uint32_t kFirstOutside = 16;      // of IPv4 networks /8, up to 127; of IPv6 2001:db8:0:0::/64 and on
constexpr channel::RouteHop kRouter{{{2, 0, 0, 0, 2, 1}}, 0, 0, {}};
constexpr Be16 kOwnPort = Be16::of(40000);  // no service's

uint32_t scatter(uint32_t n) {
  return n * 2654435761U;
}

Address outside(uint32_t at, bool v6) {
  if (!v6) return Address::v4(Be32::of((kFirstOutside << 24) + at % ((112 - kFirstOutside) << 24)));
  Address out;
  out.bytes = {0x20, 0x01, 0x0d, 0xb8};
  const Be32 network = Be32::of(at);
  __builtin_memcpy(&out.bytes[4], &network.raw, 4);
  out.bytes[15] = 9;
  return out;
}

void right_sum(uint8_t* l3) {
  store(l3 + ipv4::kChecksum, uint16_t{0});
  store(l3 + ipv4::kChecksum, ipv4_checksum(l3, ipv4::kBytes));
}

}  // namespace

Endpoint outside_endpoint(uint32_t n, bool v6) {
  return {outside(scatter(n), v6), Be16::of(25)};
}

void WorkerRig::route_servers(uint32_t prefixes) {
  const bool v6 = options_.v6;
  std::vector<channel::RouteHop> hops{kRouter};
  std::vector<channel::RouteBorder> borders{{v6 ? Address{} : Address::v4(Be32::of(0)), 1}};
  for (uint16_t n = 0; n < options_.backends; n++) {
    hops.push_back({{{0x02, 0, 0, 0, 1, static_cast<uint8_t>(n)}}, 0, 1, {}});
    borders.push_back({backends_[n].address, static_cast<uint16_t>(n + 2)});
  }
  borders.push_back({backend_endpoint(options_.backends, v6).address, 1});
  // Routes of /24, or /64, by one router under two names, so that all have borders of their own.
  hops.push_back(kRouter);
  const auto other = static_cast<uint16_t>(hops.size());
  for (uint32_t i = 0; i < prefixes; i++) {
    Address first = outside(scatter(i * 2 + 1), v6);
    std::fill(first.bytes.begin() + (v6 ? 8 : 15), first.bytes.end(), uint8_t{0});
    Address end = first;
    for (size_t byte = v6 ? 7 : 14; ++end.bytes[byte] == 0;) byte--;
    borders.push_back({first, other});
    borders.push_back({end, 1});
  }
  std::ranges::stable_sort(borders, {}, &channel::RouteBorder::first);
  std::vector<channel::RouteBorder> kept;
  for (const channel::RouteBorder& border : borders) {
    if (!kept.empty() && kept.back().first == border.first) kept.pop_back();
    kept.push_back(border);
  }
  const auto count = static_cast<uint32_t>(kept.size());
  channel::PutServerRoutes message{};
  message.header = {channel::CommandType::kPutServerRoutes, 0, 0, 0};
  message.offset = kArenaPlace / channel::kArenaUnit;
  (v6 ? message.v6_borders : message.v4_borders) = count;
  message.hops = static_cast<uint32_t>(hops.size());
  const auto layout = channel::ServerRoutesLayout::of(message.v4_borders, message.v6_borders, message.hops);
  std::byte* const base = segment_ + channel::arena_offset(options_.workers) + kArenaPlace;
  const std::span<const channel::RouteBorder> all(kept), none;
  layout.write(v6 ? none : all, v6 ? all : none, hops, base);
  const uint64_t applied = counter(channel::Counter::kCommandsApplied);
  push(channel::Command(message));
  while (counter(channel::Counter::kCommandsApplied) < applied + options_.workers) {
    for (uint32_t i = 0; i < options_.workers; i++) poll(i);
    if (counter(channel::Counter::kCommandsRejected) == 0) continue;
    fprintf(stderr, "the table of routes was refused\n");
    exit(1);
  }
  const Endpoint somebody = outside_endpoint(0, v6);
  const Endpoint server{backends_[0].address, kOwnPort};
  out_ = std::make_unique<FrameTemplate>(seats_[0]->setup.port[1].mac, server, somebody, options_.frame_bytes);
  in_ = std::make_unique<FrameTemplate>(seats_[0]->setup.port[0].mac, somebody, server, options_.frame_bytes);
}

void WorkerRig::server_speaks(uint32_t n, const Endpoint& outside) {
  uint8_t* l3 = arrive(back_.receive[0], *out_, {backends_[n % options_.backends].address, kOwnPort}, outside, kTcpAck,
                       1001, 5001) +
                kEthernetBytes;
  if (!options_.v6) right_sum(l3);
}

void WorkerRig::server_hears(uint32_t n, const Endpoint& outside) {
  uint8_t* l3 = arrive(front_.receive[0], *in_, outside, {backends_[n % options_.backends].address, kOwnPort}, kTcpAck,
                       5001, 1001) +
                kEthernetBytes;
  if (!options_.v6) right_sum(l3);
}

}  // namespace sluice::perf
