// SPDX-License-Identifier: Apache-2.0
//
// The kernel's network interface under a DPDK device (AF_XDP, AF_PACKET): what has to be known of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// MTU of `interface` in this network namespace; nothing if there is no such interface.
std::optional<uint16_t> interface_mtu(const std::string& interface);

/// Link of a kernel interface.
struct InterfaceLink {
  bool up = false;          // set up, and it has a carrier
  uint32_t speed_mbps = 0;  // 0 = unknown
  bool half_duplex = false;
  bool full_duplex = false;
};

/// Link of `interface`, asked for at every call; nothing if there is no such interface (any more).
std::optional<InterfaceLink> interface_link(const std::string& interface);

/// Throws SetupError if there is no such interface; warns if it is down, or has addresses of its own, by which
/// the kernel would answer besides the twin.
void check_interface(const std::string& port, const std::string& interface);

}  // namespace sluice
