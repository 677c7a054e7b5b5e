// SPDX-License-Identifier: Apache-2.0
//
// What was changed by hand, as the API shows it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controlplane/changes/overrides.h"

namespace sluice::control {

/// Every entry, with its open flows, and how many were told 421 between messages, which `told` says of a member.
nlohmann::json by_hand_json(const Overrides& overrides, const Overrides::Flows& told);

}  // namespace sluice::control
