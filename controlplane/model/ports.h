// SPDX-License-Identifier: Apache-2.0
//
// Our ports held against those that the data plane publishes. A port is one and the same by its name and its twin,
// never by its place in a file: each process has read the file at its own time. Where the two disagree, nothing may be
// sent through the port, as it would leave by another card or in another VLAN while probes, which go through the
// kernel's twin, say that all is well. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "dataplane/contract/ports.h"

namespace sluice::control {

/// One of the devices of which a port is made.
struct PublishedMember {
  std::string device;
  bool link_up = false;
  bool carries = false;  // packets go through it
};

/// A port as the data plane has it.
struct PublishedPort {
  std::string name;
  std::string twin;
  std::string driver;
  MacAddress mac;
  uint16_t vlan = 0;
  uint16_t mtu = 0;
  bool link_up = false;
  uint64_t speed_mbps = 0;  // 0 = unknown
  channel::Duplex duplex = channel::Duplex::kUnknown;
  uint64_t link_changes = 0;
  std::array<uint64_t, channel::kPortCounterCount> counters{};
  channel::Steering steering = channel::Steering::kNotMeant;
  channel::SteeringFault steering_fault = channel::SteeringFault::kUnknown;  // of kMisplaces
  uint64_t rss_misplaced = 0;
  std::vector<PublishedMember> members;  // of a bond
};

/// A port of our configuration, and what may be done with it.
struct BoundPort {
  std::string name;
  std::string twin;
  std::optional<uint8_t> index;  // by which commands name it; none: nothing goes through it
  uint16_t vlan = 0;
  bool link_up = true;
  std::string fault;  // why there is no index, in words

  friend bool operator==(const BoundPort&, const BoundPort&) = default;
};

/// MAC address of an interface of the kernel; nothing if there is none of that name (yet).
using MacOfInterface = std::function<std::optional<MacAddress>(const std::string& interface)>;

/// Binds `ours` to `theirs`, whose places are the indexes.
std::vector<BoundPort> bind_ports(const std::vector<config::Port>& ours, const std::vector<PublishedPort>& theirs,
                                  const MacOfInterface& mac_of);

/// What is taken for granted until the data plane has published its ports: nothing is sent before.
std::vector<BoundPort> assume_ports(const std::vector<config::Port>& ours);

/// Whether the data plane runs with `ours`, as far as it publishes them: names, twins and VLANs, and no port besides.
bool runs_with(const std::vector<config::Port>& ours, const std::vector<PublishedPort>& theirs);

/// The port with that twin, or null.
const BoundPort* find_by_twin(const std::vector<BoundPort>& ports, const std::string& twin);

}  // namespace sluice::control
