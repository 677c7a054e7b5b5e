// SPDX-License-Identifier: Apache-2.0
#include "config/check_command.h"

#include <fmt/format.h>

#include <ostream>

#include "config/load.h"

namespace sluice::config {

namespace {

std::string count(size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

}  // namespace

int check_command(const std::string& path, std::ostream& out) {
  const auto config = load(path);
  if (!config) {
    for (const Fault& fault : config.error()) out << fault.to_string() << '\n';
    return 1;
  }
  size_t backends = 0;
  for (const Pool& pool : config->pools) backends += pool.backends.size();
  out << fmt::format("{}: ok: {}, {}, {}, {}, {}\n", path, count(config->pools.size(), "pool"),
                     count(backends, "backend"), count(config->services.size(), "service"),
                     count(config->checks.size(), "check"), count(config->dataplane.ports.size(), "port"));
  return 0;
}

}  // namespace sluice::config
