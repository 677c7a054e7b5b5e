// SPDX-License-Identifier: Apache-2.0
//
// The schedule by which a new address comes to its share (config::WarmUp): a factor for each day, the first beginning
// at 00:00 UTC of its date. Pure; what an operator did to it by hand (pause, roll back) is a shift of its clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/model.h"
#include "controlplane/weights/weight.h"

namespace sluice::control {

using SystemTime = std::chrono::system_clock::time_point;

/// How far the schedule's clock is from the calendar.
struct WarmUpClock {
  std::optional<SystemTime> paused;  // it stands where it stood then
  std::chrono::seconds behind{0};    // how much later than dated everything comes

  /// What the schedule takes `now` for.
  SystemTime at(SystemTime now) const { return paused.value_or(now) - behind; }

  friend bool operator==(const WarmUpClock&, const WarmUpClock&) = default;
};

/// How many days the schedule has before the whole share.
uint32_t days_of(const config::WarmUp& plan);

/// The factor on `day`, counted from 0; 1 from day `days_of` on. Linear: from + (1 - from) * day / days. Exponential:
/// from ^ (1 - day / days).
double factor_on_day(const config::WarmUp& plan, uint32_t day);

/// The day that `time` falls on; nothing before the first.
std::optional<uint32_t> day_at(const config::WarmUp& plan, SystemTime time);

/// The factor at `now`, 0 before the first day, and its reason: "day 3 of 30".
Factor warm_up_factor(const config::WarmUp& plan, const WarmUpClock& clock, SystemTime now);

/// The clock after a pause ends at `now`: the schedule goes on where it stood.
WarmUpClock resumed(const WarmUpClock& clock, SystemTime now);

/// The clock set back by `days`, not beyond the beginning of the first day; all the way for nothing.
WarmUpClock rolled_back(const config::WarmUp& plan, const WarmUpClock& clock, SystemTime now,
                        std::optional<uint32_t> days);

}  // namespace sluice::control
