// SPDX-License-Identifier: Apache-2.0
#include "config/check_command.h"

#include <fmt/format.h>

#include <ostream>
#include <vector>

namespace sluice::config {

namespace {

std::string count(size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

void print(const std::vector<Fault>& faults, std::ostream& out) {
  for (const Fault& fault : faults) out << fault.to_string() << '\n';
}

}  // namespace

int check_command(const std::string& path, std::ostream& out, const Finder& finder) {
  auto reading = read_config(path);
  if (!reading) {
    print(reading.error(), out);
    return 1;
  }
  Findings& findings = reading->findings;
  const Config& config = reading->config;
  if (finder) finder(config, findings);
  print(findings.faults(), out);
  print(findings.warnings(), out);
  if (!findings.faults().empty()) return 1;
  size_t backends = 0;
  for (const Pool& pool : config.pools) backends += pool.backends.size();
  out << fmt::format("{}: ok: {}, {}, {}, {}, {}\n", path, count(config.pools.size(), "pool"),
                     count(backends, "backend"), count(config.services.size(), "service"),
                     count(config.checks.size(), "check"), count(config.dataplane.ports.size(), "port"));
  return 0;
}

}  // namespace sluice::config
