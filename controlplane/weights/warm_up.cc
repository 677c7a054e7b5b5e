// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/warm_up.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice::control {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::seconds;

uint32_t days_of(const config::WarmUp& plan) {
  return plan.table.empty() ? plan.days : static_cast<uint32_t>(plan.table.size());
}

double factor_on_day(const config::WarmUp& plan, uint32_t day) {
  if (day >= days_of(plan)) return 1;
  if (!plan.table.empty()) return plan.table[day];
  const double done = static_cast<double>(day) / plan.days;
  return plan.curve == config::Curve::kLinear ? plan.from + (1 - plan.from) * done : std::pow(plan.from, 1 - done);
}

std::optional<uint32_t> day_at(const config::WarmUp& plan, SystemTime time) {
  const auto day = floor<days>(time - SystemTime(plan.start)).count();
  if (day < 0) return std::nullopt;
  return static_cast<uint32_t>(day);
}

Factor warm_up_factor(const config::WarmUp& plan, const WarmUpClock& clock, SystemTime now) {
  const auto day = day_at(plan, clock.at(now));
  const std::string paused = clock.paused ? "paused by hand on " : "";
  if (!day) {
    const SystemTime begins = SystemTime(plan.start) + clock.behind;
    return {0, fmt::format("{}begins {:%Y-%m-%d}", clock.paused ? "paused by hand; " : "",
                           fmt::gmtime(std::chrono::system_clock::to_time_t(begins)))};
  }
  if (*day >= days_of(plan)) return {1, ""};
  return {factor_on_day(plan, *day), fmt::format("{}day {} of {}", paused, *day + 1, days_of(plan))};
}

WarmUpClock resumed(const WarmUpClock& clock, SystemTime now) {
  if (!clock.paused) return clock;
  return {std::nullopt, clock.behind + floor<seconds>(now - *clock.paused)};
}

WarmUpClock rolled_back(const config::WarmUp& plan, const WarmUpClock& clock, SystemTime now,
                        std::optional<uint32_t> by) {
  const seconds passed = floor<seconds>(clock.at(now) - SystemTime(plan.start));
  if (passed.count() <= 0) return clock;
  WarmUpClock out = clock;
  out.behind += by ? std::min<seconds>(days(*by), passed) : passed;
  return out;
}

}  // namespace sluice::control
