// SPDX-License-Identifier: Apache-2.0
//
// Warnings of several nodes that serve the same VIPs and do not tell each other of sessions: a session that a router
// moves goes on only where both nodes place it alike, by the hash and the same weights.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/choices.h"
#include "config/endpoint.h"
#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

constexpr const char* kAdvice = "; usual: fleet.peers, by which nodes tell each other of sessions";

/// What of a pool each node finds out by itself.
std::vector<std::string> local_factors(const Pool& pool) {
  std::vector<std::string> out;
  if (pool.passive.enabled && pool.max_shed > 0) out.emplace_back("passive");
  if (pool.slow_start.count() != 0) out.emplace_back("slow_start");
  const auto has_agent = [](const Backend& backend) { return backend.agent.has_value(); };
  if (std::ranges::any_of(pool.backends, has_agent)) out.emplace_back("agent");
  const auto has_zone = [](const Backend& backend) { return !backend.zone.empty(); };
  if (std::ranges::any_of(pool.backends, has_zone)) out.emplace_back("zone");
  return out;
}

}  // namespace

void warn_of_zones(const Config& config, Findings& findings) {
  if (!config.fleet.zone.empty()) return;
  for (size_t i = 0; i < config.pools.size(); i++) {
    const auto& backends = config.pools[i].backends;
    const auto zoned = std::ranges::find_if(backends, [](const Backend& backend) { return !backend.zone.empty(); });
    if (zoned == backends.end()) continue;
    findings.warn(
        fmt::format("pools[{}].backends[{}].zone", i, zoned - backends.begin()),
        fmt::format("\"{}\" makes no difference: this node is in no zone; usual: with fleet.zone", zoned->zone));
  }
}

void warn_of_etcd(const Config& config, Findings& findings) {
  if (!config.fleet.etcd) return;
  const Etcd& etcd = *config.fleet.etcd;
  for (const std::string& text : etcd.endpoints) {
    const auto endpoint = Endpoint::parse(text);
    if (endpoint && !endpoint->tls && !endpoint->is_loopback())
      findings.warn("fleet.etcd.endpoints",
                    fmt::format("{} is asked in plain text: who is on the way can make anybody a backend; usual: "
                                "https, with `ca_file`, `cert_file` and `key_file`",
                                text));
  }
}

void warn_of_fleet(const Config& config, Findings& findings) {
  warn_of_zones(config, findings);
  warn_of_etcd(config, findings);
  const bool shares_vips = config.announce.mode == AnnounceMode::kRoutes || !config.fleet.node.empty();
  if (!shares_vips || config.fleet.peers.listen) return;
  for (size_t i = 0; i < config.pools.size(); i++) {
    const auto factors = local_factors(config.pools[i]);
    if (factors.empty()) continue;
    findings.warn(fmt::format("pools[{}]", i),
                  fmt::format("{} of this node alone: nodes that serve the same VIPs come to different weights, and a "
                              "session that a router moves is lost{}",
                              fmt::join(factors, ", "), kAdvice));
  }
  for (size_t i = 0; i < config.services.size(); i++) {
    const Service& service = config.services[i];
    const bool by_hash = service.scheduler == Scheduler::kMaglev;
    const bool rewrites_source = service.forwarding == Forwarding::kFullnat;
    if (by_hash && !rewrites_source) continue;
    const std::string path = fmt::format("services[{}].{}", i, rewrites_source ? "forwarding" : "scheduler");
    findings.warn(path, fmt::format("\"{}\" is not by the hash alone: a session that a router moves to another node is "
                                    "lost{}",
                                    rewrites_source ? name_of(service.forwarding) : name_of(service.scheduler),
                                    rewrites_source ? "" : kAdvice));
  }
}

}  // namespace sluice::config
