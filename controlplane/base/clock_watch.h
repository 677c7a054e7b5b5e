// SPDX-License-Identifier: Apache-2.0
//
// Sees when the wall clock is set. Deadlines are kept as wall clock time, as they outlive the process and are shown;
// but a clock that is set must neither cut a drain short nor draw it out. So whoever made them from this clock moves
// them along by what it was set by: while the process runs they go by the steady clock. Times that come from elsewhere
// (the disk, another node) stay as they are. Pure, times injected.
#pragma once

#include <chrono>
#include <optional>
#include <utility>

namespace sluice::control {

class ClockWatch {
 public:
  using Wall = std::chrono::system_clock::time_point;
  using Steady = std::chrono::steady_clock::time_point;
  /// Less than this between two looks is the drift of clocks.
  static constexpr std::chrono::milliseconds kTolerance{500};

  /// The steady clock, read before and after the wall clock: more than this between them, and the process stood still
  /// there. Its wall clock is of no use then.
  static constexpr std::chrono::milliseconds kMostApart{20};

  /// By how much the clock was set since the last look, forward if it is positive; zero if it was not, and at the first
  /// look. Nothing: the readings are too far apart, and it is as if nobody had looked.
  std::optional<Wall::duration> look(Steady before, Wall wall, Steady after) {
    if (after - before > kMostApart) return std::nullopt;
    const std::optional<Reading> last = std::exchange(last_, Reading{wall, before});
    if (!last) return Wall::duration::zero();
    const auto by = (wall - last->wall) - std::chrono::duration_cast<Wall::duration>(before - last->steady);
    return by > -kTolerance && by < kTolerance ? Wall::duration::zero() : by;
  }

 private:
  struct Reading {
    Wall wall;
    Steady steady;
  };
  std::optional<Reading> last_;
};

}  // namespace sluice::control
