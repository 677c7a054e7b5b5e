// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/rise_fall.h"

namespace sluice::health {

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kUnknown:
      return "unknown";
    case Health::kUp:
      return "up";
    case Health::kDown:
      return "down";
  }
  return "";
}

RiseFall::RiseFall(uint32_t rise, uint32_t fall, Time now) : rise_(rise), fall_(fall), since_(now) {}

bool RiseFall::on_result(bool passed, Time now) {
  if (passed) {
    failures_ = 0;
    successes_++;
    const bool enough = health_ == Health::kUnknown || successes_ >= rise_;
    return enough && move_to(Health::kUp, now);
  }
  successes_ = 0;
  failures_++;
  return failures_ >= fall_ && move_to(Health::kDown, now);
}

void RiseFall::set_bounds(uint32_t rise, uint32_t fall) {
  rise_ = rise;
  fall_ = fall;
}

bool RiseFall::is_changing() const {
  switch (health_) {
    case Health::kUnknown:
      return true;
    case Health::kUp:
      return failures_ > 0;
    case Health::kDown:
      return successes_ > 0;
  }
  return false;
}

bool RiseFall::move_to(Health health, Time now) {
  if (health_ == health) return false;
  health_ = health;
  since_ = now;
  return true;
}

}  // namespace sluice::health
