// SPDX-License-Identifier: Apache-2.0
//
// Where packets for a backend go, as the kernel's routes and neighbours tell.
#pragma once

#include <expected>
#include <string>

#include "dataplane/contract/address.h"

namespace sluice::control {

/// Where packets for a backend go: out of the port with that kernel twin, to a MAC address.
struct NextHop {
  MacAddress mac;
  std::string twin;
  bool via_gateway = false;  // the MAC address is not the backend's own
  friend bool operator==(const NextHop&, const NextHop&) = default;
};

/// A next hop, or in words why there is none.
using Reachability = std::expected<NextHop, std::string>;

}  // namespace sluice::control
