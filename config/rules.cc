// SPDX-License-Identifier: Apache-2.0
#include "config/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/bounds.h"

namespace sluice::config {

void fill_in(Config& config, const Findings& findings) {
  for (Port& port : config.dataplane.ports)
    if (port.twin.empty() && !port.name.empty()) port.twin = "sl-" + port.name;
  for (Check& check : config.checks)
    if (!findings.given(fmt::format("checks.{}.fast_interval", check.name)))
      check.fast_interval = std::min(check.fast_interval, check.interval);
  if (config.control.state.empty()) config.control.state = config.state_directory();
  if (config.control.api.empty()) config.control.api = config.runtime_directory() + "/control.sock";
}

namespace {

/// Whether only this host can reach "ADDRESS:PORT".
bool is_loopback(const std::string& listen) {
  return listen.starts_with("127.") || listen.starts_with("[::1]:");
}

}  // namespace

void check_control(const Config& config, Findings& findings) {
  const std::string& http = config.control.http;
  if (findings.sound("control.http") && !http.empty() && !is_loopback(http) && config.control.token_file.empty())
    findings.add("control.http",
                 fmt::format("{} can be reached by others; allowed: an address of this host alone, such as "
                             "\"127.0.0.1:9125\", or any address beside a `token_file`",
                             http));
  const std::string path = "instance";
  if (config.channel_socket().size() > kMaxSocketPathBytes)
    findings.add(path, fmt::format("makes {} longer than the path of a Unix socket can be; allowed: {} bytes in all, "
                                   "with a shorter instance or SLUICE_RUNTIME_DIR",
                                   config.channel_socket(), kMaxSocketPathBytes));
  if (config.control.api == config.channel_socket())
    findings.add("control.api",
                 fmt::format("{} is the socket of the data plane; allowed: any other path", config.control.api));
}

void check_checks(const Config& config, Findings& findings) {
  for (const Check& check : config.checks) {
    const std::string path = "checks." + check.name;
    if (!findings.sound(path + ".interval") || check.fast_interval <= check.interval) continue;
    findings.add(path + ".fast_interval", fmt::format("{:g} is longer than the interval; allowed: at most {:g}",
                                                      static_cast<double>(check.fast_interval.count()) / 1000,
                                                      static_cast<double>(check.interval.count()) / 1000));
  }
}

void check_rules(const Config& config, Findings& findings) {
  check_dataplane(config, findings);
  check_control(config, findings);
  check_checks(config, findings);
  check_pools(config, findings);
  check_services(config, findings);
}

uint32_t next_prime(uint32_t n) {
  const auto is_prime = [](uint32_t candidate) {
    if (candidate < 4) return candidate >= 2;
    for (uint32_t divisor = 2; uint64_t{divisor} * divisor <= candidate; divisor++)
      if (candidate % divisor == 0) return false;
    return true;
  };
  while (!is_prime(n)) n++;
  return n;
}

}  // namespace sluice::config
