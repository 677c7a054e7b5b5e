// SPDX-License-Identifier: Apache-2.0
//
// A device's link, asked of whoever knows it.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/contract/ports.h"

namespace sluice {

/// A device's link, as it is now.
struct LinkState {
  bool up = false;
  uint32_t speed_mbps = 0;  // 0 = unknown
  channel::Duplex duplex = channel::Duplex::kUnknown;
  std::string trouble;  // why it is down, where more is known than that
};

/// The link of device `id`: of the kernel's `interface` under it where the driver only passes on to one (AF_XDP,
/// AF_PACKET report "up" for ever), else of the driver; "" = there is no such interface.
LinkState link_of(uint16_t id, const std::string& interface);

}  // namespace sluice
