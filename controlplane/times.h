// SPDX-License-Identifier: Apache-2.0
//
// Times as operators read them.
#pragma once

#include <chrono>
#include <string>

namespace sluice::control {

using SystemTime = std::chrono::system_clock::time_point;

/// "2026-12-01T08:15:30.123Z".
std::string to_rfc3339(SystemTime time);

}  // namespace sluice::control
