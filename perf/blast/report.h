// SPDX-License-Identifier: Apache-2.0
//
// Figures as JSON and as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "perf/blast/generator.h"

namespace sluice::blast {

nlohmann::json to_json(const Trial& trial);

/// A few lines for people.
std::string to_text(const Trial& trial);

}  // namespace sluice::blast
