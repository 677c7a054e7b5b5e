// SPDX-License-Identifier: Apache-2.0
//
// What the device strings of ports name.
#pragma once

#include <string>
#include <vector>

#include "config/model.h"

namespace sluice::config {

/// The devices that DPDK opens for `port`: its own, or the members of its bond.
std::vector<std::string> devices_of(const Port& port);

/// "0000:3b:00.0" of a device string with a PCI address ("3b:00.0,..."); "" of another.
std::string pci_address(const std::string& device);

/// The kernel's interface that a device string names ("net_af_xdp0,iface=eth1"), or "".
std::string interface_of(const std::string& device);

}  // namespace sluice::config
