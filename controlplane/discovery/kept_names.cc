// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/kept_names.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "controlplane/discovery/dns_records.h"

namespace sluice::control {

namespace {

using Endpoint = std::pair<config::IpAddress, std::optional<uint16_t>>;

Endpoint endpoint_of(const Discovered& discovered) {
  return {discovered.backend.address, discovered.backend.port};
}

Discovered called(Discovered discovered, const std::string& name) {
  auto document = nlohmann::json::parse(discovered.json);
  document["name"] = name;
  discovered.json = document.dump();
  discovered.backend.name = name;
  return discovered;
}

}  // namespace

std::expected<DiscoveredBackends, std::string> keep_names(const DiscoveredBackends& known, DiscoveredBackends told) {
  std::map<Endpoint, std::string> names;
  for (const auto& [name, discovered] : known) names.emplace(endpoint_of(discovered), name);
  DiscoveredBackends out;
  std::vector<Discovered> fresh;
  for (auto& [name, discovered] : told) {
    const auto kept = names.find(endpoint_of(discovered));
    if (kept == names.end()) {
      fresh.push_back(std::move(discovered));
    } else if (kept->second == name) {
      out.emplace(name, std::move(discovered));
    } else {
      out.emplace(kept->second, called(std::move(discovered), kept->second));
    }
  }
  for (Discovered& discovered : fresh) {
    const std::string name = discovered.backend.name;
    if (!out.contains(name)) {
      out.emplace(name, std::move(discovered));
      continue;
    }
    const std::string longer = name_at(name, discovered.backend.address, discovered.backend.port);
    if (!out.emplace(longer, called(std::move(discovered), longer)).second)
      return std::unexpected(longer + " is the name of two");
  }
  return out;
}

}  // namespace sluice::control
