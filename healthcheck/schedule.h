// SPDX-License-Identifier: Apache-2.0
//
// When to probe. Pure functions; `random` is a number in [0, 1).
#pragma once

#include <chrono>
#include <cstddef>

#include "config/model.h"

namespace sluice::health {

/// The wait before the first probe of the `index`th of `count` new targets: at once for a few, 1 ms apart for many,
/// and never spread over more than the check's interval.
std::chrono::microseconds initial_delay(size_t index, size_t count, const config::Check& check);

/// The time from the start of a probe to that of the next, before jitter.
std::chrono::milliseconds current_interval(const config::Check& check, bool changing);

/// The wait before the next probe, when the last one took `elapsed` from its start: intervals count from start to
/// start, with jitter. A probe slower than its interval is followed by a pause of a tenth of the interval.
std::chrono::microseconds next_delay(const config::Check& check, bool changing, std::chrono::microseconds elapsed,
                                     double random);

}  // namespace sluice::health
