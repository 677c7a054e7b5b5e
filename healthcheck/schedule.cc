// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/schedule.h"

#include <algorithm>

namespace sluice::health {

using std::chrono::microseconds;

microseconds initial_delay(size_t index, size_t count, const config::Check& check) {
  constexpr microseconds kGap{1000};
  const microseconds widest = check.interval;
  const microseconds gap = std::min(kGap, widest / static_cast<int64_t>(std::max<size_t>(count, 1)));
  return gap * static_cast<int64_t>(index);
}

std::chrono::milliseconds current_interval(const config::Check& check, bool changing) {
  return changing ? std::min(check.fast_interval, check.interval) : check.interval;
}

microseconds next_delay(const config::Check& check, bool changing, microseconds elapsed, double random) {
  const microseconds interval = current_interval(check, changing);
  const double factor = 1.0 + check.jitter * (2.0 * random - 1.0);
  const auto jittered = std::chrono::duration_cast<microseconds>(interval * factor);
  return std::max(jittered - elapsed, interval / 10);
}

}  // namespace sluice::health
