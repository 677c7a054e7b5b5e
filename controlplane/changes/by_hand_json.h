// SPDX-License-Identifier: Apache-2.0
//
// What was changed by hand, as the API shows it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controlplane/changes/overrides.h"

namespace sluice::control {

/// Every entry, with its open flows.
nlohmann::json by_hand_json(const Overrides& overrides);

}  // namespace sluice::control
