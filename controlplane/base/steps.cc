// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/steps.h"

#include <utility>

namespace sluice::control {

using Clock = std::chrono::steady_clock;

namespace {

constexpr size_t kRowsBetweenLooks = 16;  // at the clock

}  // namespace

void Steps::add(size_t rows, std::function<void(size_t)> work) {
  steps_.push_back({rows, std::move(work)});
}

bool Steps::run(Clock::duration at_most) {
  const Clock::time_point began = Clock::now();
  for (size_t done = 1; step_ < steps_.size(); step_++, row_ = 0) {
    while (row_ < steps_[step_].rows) {
      steps_[step_].work(row_++);
      if (done++ % kRowsBetweenLooks == 0 && Clock::now() - began >= at_most) return false;
    }
  }
  return true;
}

}  // namespace sluice::control
