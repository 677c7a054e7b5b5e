// SPDX-License-Identifier: Apache-2.0
//
// DPDK device strings: "NAME,key=value,...", where NAME is a PCI address or that of a virtual device.
#pragma once

#include <optional>
#include <string>

namespace sluice {

/// A device string, cut at its first comma.
struct DeviceString {
  std::string name;
  std::string arguments;
};

DeviceString split_device(const std::string& device);

/// Whether `device` names a PCI function ("0000:3b:00.0", "3b:00.0"), with or without arguments.
bool is_pci_device(const std::string& device);

/// The PCI address of `device` as DPDK names its port: with domain, in lower case. Requires is_pci_device().
std::string pci_port_name(const std::string& device);

/// Value of `key` among the arguments of `device`.
std::optional<std::string> device_argument(const std::string& device, const std::string& key);

}  // namespace sluice
