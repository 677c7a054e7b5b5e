// SPDX-License-Identifier: Apache-2.0
//
// What the operator wants of a backend.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::control {

/// The stricter the greater. Draining: no new flows. Disabled: and those that are open are cut.
enum class Admin : uint8_t { kEnabled, kDraining, kDisabled };

/// "enabled", "draining", "disabled".
std::string_view name_of(Admin admin);

}  // namespace sluice::control
