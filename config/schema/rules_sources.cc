// SPDX-License-Identifier: Apache-2.0
//
// Rules over `sources`: what a limit has to say, services, and limits that count the same.
#include <fmt/format.h>

#include <algorithm>

#include "config/file/suggest.h"
#include "config/schema/rules.h"

namespace sluice::config {

namespace {

std::vector<std::string> service_names(const Config& config) {
  std::vector<std::string> out;
  for (const Service& service : config.services)
    if (!service.name.empty()) out.push_back(service.name);
  return out;
}

void check_named_services(const Config& config, const std::vector<std::string>& services, const std::string& path,
                          Findings& findings) {
  if (!findings.sound(path)) return;
  const auto known = service_names(config);
  for (auto name = services.begin(); name != services.end(); ++name) {
    if (std::find(services.begin(), name, *name) != name) {
      findings.add(path, fmt::format("\"{}\" stands twice; allowed: each service once", *name));
    } else if (std::ranges::find(known, *name) == known.end()) {
      findings.add(path, fmt::format("there is no service \"{}\"{}; allowed: {}", *name, did_you_mean(*name, known),
                                     quoted_list(known)));
    }
  }
}

/// The service that both rules hold for, "" if it is any; nothing if there is none.
std::optional<std::string> common_service(const Limit& one, const Limit& other) {
  if (one.services.empty()) return other.services.empty() ? "" : other.services.front();
  if (other.services.empty()) return one.services.front();
  const auto found = std::ranges::find_first_of(one.services, other.services);
  return found == one.services.end() ? std::nullopt : std::optional(*found);
}

bool counts_the_same(const Limit& one, const Limit& other) {
  if (one.of != other.of) return false;
  return one.of == LimitOf::kAddress || (one.prefix_v4 == other.prefix_v4 && one.prefix_v6 == other.prefix_v6);
}

void check_twins(const Config& config, size_t index, Findings& findings) {
  const Limit& limit = config.sources.limits[index];
  for (size_t i = 0; i < index; i++) {
    const Limit& other = config.sources.limits[i];
    if (!counts_the_same(limit, other)) continue;
    const auto service = common_service(limit, other);
    if (!service) continue;
    const std::string path = fmt::format("sources.limits[{}].of", index);
    const std::string first = fmt::format("sources.limits[{}].of", i);
    findings.add(
        path,
        fmt::format("the limit on {} counts the same sources{}; allowed: one rule for each kind of source "
                    "and service",
                    findings.where(first, path), service->empty() ? "" : fmt::format(" for service \"{}\"", *service)));
    return;
  }
}

}  // namespace

void check_routes(const Config& config, Findings& findings) {
  if (!findings.sound("sources.routes")) return;
  for (size_t i = 0; i < config.sources.routes.size(); i++) {
    const Route& route = config.sources.routes[i];
    const std::string path = fmt::format("sources.routes[{}]", i);
    if (route.from.empty() && findings.given(path + ".from") && findings.sound(path + ".from"))
      findings.add(path + ".from", "names nobody; allowed: at least one prefix");
    if (!route.service.empty()) check_named_services(config, {route.service}, path + ".service", findings);
  }
}

void check_limits(const Config& config, Findings& findings) {
  if (config.sources.auth_failures)
    check_named_services(config, config.sources.auth_failures->services, "sources.auth_failures.services", findings);
  if (!findings.sound("sources.limits")) return;
  for (size_t i = 0; i < config.sources.limits.size(); i++) {
    const Limit& limit = config.sources.limits[i];
    const std::string path = fmt::format("sources.limits[{}]", i);
    const bool has_bound = limit.connections != 0 || limit.per_second != 0;
    if (!has_bound && !findings.given(path + ".connections") && !findings.given(path + ".per_second"))
      findings.add(path, "limits nothing; allowed: with `connections`, `per_second` or both");
    check_named_services(config, limit.services, path + ".services", findings);
    if (findings.sound(path + ".of")) check_twins(config, i, findings);
  }
}

}  // namespace sluice::config
