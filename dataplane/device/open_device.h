// SPDX-License-Identifier: Apache-2.0
//
// What a device string names, opened: a port's device, or a member of its bond.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

struct OpenedDevice {
  uint16_t id = 0;        // DPDK's
  std::string device;     // as it was asked for
  std::string driver;     // "net_virtio"; "?" if it does not say
  std::string interface;  // of the kernel, under the device; "" = none
};

/// Whether DPDK has opened the card that `device` names when EAL started; virtual devices are made when they are
/// opened.
bool is_present(const std::string& device);

/// Opens `device` for the port called `port`. EAL has probed PCI devices; virtual ones are added here. Throws
/// SetupError; warns of what the kernel does beside us.
OpenedDevice open_device(const std::string& port, const std::string& device);

}  // namespace sluice
