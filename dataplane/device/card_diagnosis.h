// SPDX-License-Identifier: Apache-2.0
//
// Why DPDK did not open a card, read from sysfs after it has failed, and what to do. (`sluicectl doctor` looks at more,
// and before.)
#pragma once

#include <string>

namespace sluice {

/// For the PCI function `address` ("0000:3b:00.0"): "is the kernel's (ixgbe); give it to DPDK: ...". `sys`: where sysfs
/// is.
std::string diagnose_card(const std::string& address, const std::string& sys = "/sys");

}  // namespace sluice
