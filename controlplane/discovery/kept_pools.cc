// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/kept_pools.h"

#include <stdexcept>
#include <utility>

#include "controlplane/base/json_fields.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;

json to_json(const DiscoveredBackends& backends) {
  json out = json::array();
  for (const auto& [name, discovered] : backends) out.push_back(json::parse(discovered.json));
  return out;
}

json to_json(const Losses& lost) {
  json out = json::object();
  for (const auto& [name, when] : lost) out[name] = to_ms(when);
  return out;
}

DiscoveredBackends kept_backends(const json& backends, config::Origin origin) {
  auto read = backends_from("kept", json{{"backends", backends}}.dump(), origin);
  if (!read) throw std::runtime_error(read.error());
  return std::move(*read);
}

}  // namespace

json to_json(const DiscoveredPools& pools) {
  json out = json::object();
  for (const auto& [name, pool] : pools) {
    if (pool.found.empty() && pool.by_hand.empty()) continue;
    json missing = json::array();
    for (const auto& [backend, discovered] : pool.found) {
      if (discovered.missing) missing.push_back(backend);
    }
    out[name] = {{"found", to_json(pool.found)}, {"missing", std::move(missing)}, {"by_hand", to_json(pool.by_hand)}};
    if (!pool.lost.empty()) out[name]["lost"] = to_json(pool.lost);
  }
  return out;
}

std::string text_of(const json& pools) {
  return json{{"version", kVersion}, {"pools", pools}}.dump(2) + "\n";
}

std::expected<DiscoveredPools, std::string> pools_from(const std::string& text) {
  try {
    const json whole = json::parse(text);
    require_version(whole, kVersion);
    DiscoveredPools out;
    for (const auto& [name, pool] : whole.at("pools").items()) {
      DiscoveredPool& kept = out[name];
      kept.found = kept_backends(pool.at("found"), config::Origin::kDiscovered);
      kept.by_hand = kept_backends(pool.at("by_hand"), config::Origin::kByHand);
      for (const json& missing : pool.at("missing")) kept.found.at(missing.get<std::string>()).missing = true;
      const json losses = pool.value("lost", json::object());
      for (const auto& [lost, when] : losses.items()) kept.lost.emplace(lost, time_in(losses, lost.c_str()));
    }
    return out;
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

}  // namespace sluice::control
