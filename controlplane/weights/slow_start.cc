// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/slow_start.h"

#include <algorithm>

namespace sluice::control {

using std::chrono::milliseconds;

namespace {

/// Steps that are done, 0 to kSlowStartSteps.
int64_t steps_done(milliseconds elapsed, milliseconds length) {
  if (elapsed >= length) return kSlowStartSteps;
  return std::max<int64_t>(0, elapsed.count() * kSlowStartSteps / length.count());
}

}  // namespace

double slow_start_share(milliseconds elapsed, milliseconds length) {
  const int64_t done = steps_done(elapsed, length);
  if (done == kSlowStartSteps) return 1;
  return kSlowStartFrom + (1 - kSlowStartFrom) * static_cast<double>(done) / kSlowStartSteps;
}

std::optional<milliseconds> next_slow_start_step(milliseconds elapsed, milliseconds length) {
  const int64_t done = steps_done(elapsed, length);
  if (done == kSlowStartSteps) return std::nullopt;
  // Rounded up, so that the step is done when it is due.
  return milliseconds(((done + 1) * length.count() + kSlowStartSteps - 1) / kSlowStartSteps);
}

}  // namespace sluice::control
