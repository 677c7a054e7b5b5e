// SPDX-License-Identifier: Apache-2.0
//
// A wall clock that is set, by an operator or by NTP, and what goes by it.
#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "controlplane/process/controller.h"

namespace sluice::control {

namespace {

constexpr int kLooks = 3;  // at the clocks, where the process stands still between them

}  // namespace

void Controller::follow_clock() {
  std::optional<SystemTime::duration> look;
  for (int i = 0; i < kLooks && !look; i++) {
    const Clock::time_point before = Clock::now();
    const SystemTime wall = journal_.now();
    look = clock_.look(before, wall, Clock::now());
  }
  const SystemTime::duration by = look.value_or(SystemTime::duration::zero());
  if (by == SystemTime::duration::zero()) return;
  const double seconds = std::chrono::duration<double>(by).count();
  journal_.record(
      Severity::kWarning, "control", "clock",
      fmt::format("was set {} by {:.1f} s; drains said to this process end after the time that was given to them",
                  seconds > 0 ? "forward" : "back", std::abs(seconds)));
  model_.move_times(by);
  announcer_.move_times(by);
  tally_.move_times(by);
  if (overrides_.move_times(by)) something_changed();
  remember();
}

}  // namespace sluice::control
