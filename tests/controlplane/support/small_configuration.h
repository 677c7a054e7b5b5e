// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "config/model.h"
#include "tests/support/ip.h"

namespace sluice::control {

/// Pool mta of two backends, and services of it, by name and port.
struct SmallService {
  std::string name;
  uint16_t port;
};
inline config::Config small_configuration(const std::vector<SmallService>& services) {
  config::Config out;
  config::Pool& pool = out.pools.emplace_back();
  pool.name = "mta";
  for (const std::string name : {"mta1", "mta2"}) {
    config::Backend& backend = pool.backends.emplace_back();
    backend.name = name;
    backend.address = ip("10.0.1." + name.substr(3));
  }
  for (const SmallService& each : services) {
    config::Service& service = out.services.emplace_back();
    service.name = each.name;
    service.vip = ip("192.0.2.25");
    service.port = each.port;
    service.pool = "mta";
  }
  return out;
}

}  // namespace sluice::control
