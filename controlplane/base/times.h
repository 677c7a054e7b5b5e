// SPDX-License-Identifier: Apache-2.0
//
// Times as operators read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::control {

using SystemTime = std::chrono::system_clock::time_point;

/// Milliseconds since 1970, as state files hold them.
inline int64_t to_ms(SystemTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
inline SystemTime from_ms(int64_t ms) {
  return SystemTime(std::chrono::milliseconds(ms));
}

/// Milliseconds of CLOCK_MONOTONIC, as the data plane counts them.
inline uint64_t monotonic_ms(std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now()) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

/// "2026-12-01T08:15:30.123Z".
std::string to_rfc3339(SystemTime time);

}  // namespace sluice::control
