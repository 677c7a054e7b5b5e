// SPDX-License-Identifier: Apache-2.0
//
// What a data plane has in use when control connects to it: what an earlier control process has told it, in that one's
// words. A process that knows nothing of the earlier one learns from here which sessions are not to be cut.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/kernel/local_addresses.h"
#include "controlplane/kernel/next_hop.h"

namespace sluice::control {

struct InUse {
  struct Backend {
    uint64_t key = 0;
    config::IpAddress address;
    uint16_t port = 0;
    std::optional<NextHop> next_hop;
    uint64_t sole_service = 0;  // its key; 0 = none or several
  };
  struct Service {
    uint64_t key = 0;
    config::Service config;  // what workers know of it; its name is its VIP and port
  };

  std::vector<Backend> backends;
  std::vector<Service> services;
  std::vector<LocalAddress> local_addresses;  // of ours
};

}  // namespace sluice::control
