// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/ports.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "controlplane/base/mac_address.h"

namespace sluice::control {

namespace {

constexpr const char* kRemedy = "restart sluice-dataplane with this file, or reload the file that it runs with";

std::string names_of(const std::vector<PublishedPort>& ports) {
  std::vector<std::string> names;
  names.reserve(ports.size());
  for (const PublishedPort& port : ports) names.push_back(port.name);
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

std::string vlan_text(uint16_t vlan) {
  return vlan == 0 ? "no VLAN" : fmt::format("VLAN {}", vlan);
}

/// "": ours and theirs are the same.
std::string difference(const config::Port& ours, const PublishedPort& theirs, const MacOfInterface& mac_of) {
  if (ours.twin != theirs.twin) {
    return fmt::format("its twin is {} here and {} in the data plane; {}", ours.twin,
                       theirs.twin.empty() ? "none" : theirs.twin, kRemedy);
  }
  if (ours.vlan != theirs.vlan) {
    return fmt::format("it has {} here and {} in the data plane; {}", vlan_text(ours.vlan), vlan_text(theirs.vlan),
                       kRemedy);
  }
  const auto mac = mac_of(ours.twin);
  if (mac && *mac != theirs.mac) {
    return fmt::format("its twin {} has the MAC address {}, the card has {}; give the twin that of the card", ours.twin,
                       to_string(*mac), to_string(theirs.mac));
  }
  return "";
}

}  // namespace

std::vector<BoundPort> bind_ports(const std::vector<config::Port>& ours, const std::vector<PublishedPort>& theirs,
                                  const MacOfInterface& mac_of) {
  std::vector<BoundPort> out;
  for (const config::Port& port : ours) {
    BoundPort bound{.name = port.name, .twin = port.twin};
    const auto found = std::ranges::find(theirs, port.name, &PublishedPort::name);
    if (found == theirs.end()) {
      bound.fault = fmt::format("the data plane has no port of that name; it has {}; {}", names_of(theirs), kRemedy);
    } else {
      bound.vlan = found->vlan;
      bound.link_up = found->link_up;
      bound.fault = difference(port, *found, mac_of);
      if (bound.fault.empty()) bound.index = static_cast<uint8_t>(found - theirs.begin());
    }
    out.push_back(std::move(bound));
  }
  return out;
}

std::vector<BoundPort> assume_ports(const std::vector<config::Port>& ours) {
  std::vector<BoundPort> out;
  out.reserve(ours.size());
  for (const config::Port& port : ours) {
    out.push_back({.name = port.name, .twin = port.twin, .index = static_cast<uint8_t>(out.size()), .vlan = port.vlan});
  }
  return out;
}

bool runs_with(const std::vector<config::Port>& ours, const std::vector<PublishedPort>& theirs) {
  return std::ranges::is_permutation(ours, theirs, [](const auto& a, const auto& b) {
    return a.name == b.name && a.twin == b.twin && a.vlan == b.vlan;
  });
}

const BoundPort* find_by_twin(const std::vector<BoundPort>& ports, const std::string& twin) {
  const auto found = std::ranges::find(ports, twin, &BoundPort::twin);
  return found == ports.end() ? nullptr : &*found;
}

}  // namespace sluice::control
