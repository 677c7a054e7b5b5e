// SPDX-License-Identifier: Apache-2.0
//
// Sees when the wall clock is set. Deadlines are kept as wall clock time, as they outlive the process and are shown;
// but a clock that is set must neither cut a drain short nor draw it out. So whoever keeps them moves them along by
// what the clock was set by: while the process runs they go by the steady clock. Pure, times injected.
#pragma once

#include <chrono>

namespace sluice::control {

class ClockWatch {
 public:
  using Wall = std::chrono::system_clock::time_point;
  using Steady = std::chrono::steady_clock::time_point;
  /// Less than this between two looks is the drift of clocks.
  static constexpr std::chrono::milliseconds kTolerance{500};

  ClockWatch(Wall wall, Steady steady) : wall_(wall), steady_(steady) {}

  /// By how much the clock was set since the last look, forward if it is positive; zero if it was not.
  Wall::duration look(Wall wall, Steady steady) {
    const auto by = (wall - wall_) - std::chrono::duration_cast<Wall::duration>(steady - steady_);
    wall_ = wall;
    steady_ = steady;
    return by > -kTolerance && by < kTolerance ? Wall::duration::zero() : by;
  }

 private:
  Wall wall_;
  Steady steady_;
};

}  // namespace sluice::control
