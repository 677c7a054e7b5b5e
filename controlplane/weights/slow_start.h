// SPDX-License-Identifier: Apache-2.0
//
// A backend that was out comes back by steps: its share of its weight grows from a tenth to the whole over the pool's
// `slow_start`. In steps, as each one costs a new placement table. Pure, time injected.
#pragma once

#include <chrono>
#include <optional>

namespace sluice::control {

inline constexpr int kSlowStartSteps = 10;
inline constexpr double kSlowStartFrom = 0.1;

/// The share after `elapsed` of a slow start of `length` > 0; 1 when it is over.
double slow_start_share(std::chrono::milliseconds elapsed, std::chrono::milliseconds length);

/// How long after its beginning the next step is due; nothing when it is over.
std::optional<std::chrono::milliseconds> next_slow_start_step(std::chrono::milliseconds elapsed,
                                                              std::chrono::milliseconds length);

}  // namespace sluice::control
