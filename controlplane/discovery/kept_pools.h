// SPDX-License-Identifier: Apache-2.0
//
// What is known of pools, as it is written down for the next process. Pure.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/discovery/discovered_pool.h"

namespace sluice::control {

/// Of those pools that have members which are not in the file.
nlohmann::json to_json(const DiscoveredPools& pools);
/// The whole file that holds these.
std::string text_of(const nlohmann::json& pools);
/// What such a file says, or why that cannot be understood.
std::expected<DiscoveredPools, std::string> pools_from(const std::string& text);

}  // namespace sluice::control
