// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/published_ports.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace sluice::control {

namespace {

template <size_t kBytes>
std::string text_in(const char (&text)[kBytes]) {
  return {text, strnlen(text, kBytes)};
}

template <typename T>
T now_in(const T& word) {
  T out;
  __atomic_load(&word, &out, __ATOMIC_RELAXED);  // pairs with the main lcore's stores
  return out;
}

/// One that we know a name for.
channel::Steering known(channel::Steering state) {
  return static_cast<size_t>(state) < channel::kSteeringName.size() ? state : channel::Steering::kNotMeant;
}
channel::SteeringFault known(channel::SteeringFault fault) {
  return static_cast<size_t>(fault) < channel::kSteeringFaults ? fault : channel::SteeringFault::kUnknown;
}

}  // namespace

std::vector<PublishedPort> published_ports(const ChannelMapping& mapping) {
  const channel::StatsHeader& header = mapping.stats_header();
  std::vector<PublishedPort> out;
  for (const channel::PortStatus& status :
       std::span(header.port).first(std::min<size_t>(header.ports, channel::kMaxPorts))) {
    PublishedPort port{.name = text_in(status.name),
                       .twin = text_in(status.twin),
                       .driver = text_in(status.driver),
                       .mac = status.mac,
                       .vlan = status.vlan,
                       .mtu = status.mtu,
                       .link_up = now_in(status.link_up) != 0,
                       .speed_mbps = now_in(status.speed_mbps),
                       .duplex = now_in(status.duplex),
                       .link_changes = now_in(status.link_changes),
                       .steering = known(now_in(status.steering)),
                       .steering_fault = known(now_in(status.steering_fault)),
                       .rss_misplaced = now_in(status.rss_misplaced)};
    for (size_t i = 0; i < channel::kPortCounterCount; i++)
      port.counters[i] = channel::read_counter(status.counters[i]);
    for (const channel::BondMember& member : status.members) {
      if (member.device[0] == '\0') break;
      port.members.push_back({text_in(member.device), now_in(member.link_up) != 0, now_in(member.carries) != 0});
    }
    out.push_back(std::move(port));
  }
  return out;
}

}  // namespace sluice::control
