// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/rise_fall.h"

namespace sluice::health {

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kUnknown:
      return "unknown";
    case Health::kUp:
      return "up";
    case Health::kSoft:
      return "soft";
    case Health::kDown:
      return "down";
  }
  return "";
}

RiseFall::RiseFall(uint32_t rise, uint32_t fall, Time now) : rise_(rise), fall_(fall), since_(now) {}

bool RiseFall::on_result(Outcome outcome, Time now) {
  hard_failures_ = outcome == Outcome::kFail ? hard_failures_ + 1 : 0;
  answers_ = outcome == Outcome::kFail ? 0 : answers_ + 1;
  if (hard_failures_ >= fall_ || answers_ >= rise_) confirming_ = false;
  if (outcome != Outcome::kPass) return on_failure(outcome, now);
  failures_ = 0;
  successes_++;
  const bool enough = health_ == Health::kUnknown || successes_ >= rise_;
  return enough && move_to(Health::kUp, now);
}

bool RiseFall::on_failure(Outcome outcome, Time now) {
  successes_ = 0;
  failures_++;
  if (hard_failures_ >= fall_) return move_to(Health::kDown, now);
  if (health_ == Health::kDown) return outcome == Outcome::kSoft && answers_ >= rise_ && move_to(Health::kSoft, now);
  return failures_ >= fall_ && move_to(Health::kSoft, now);
}

void RiseFall::start_over() {
  successes_ = failures_ = hard_failures_ = answers_ = 0;
  confirming_ = true;
}

void RiseFall::set_bounds(uint32_t rise, uint32_t fall) {
  rise_ = rise;
  fall_ = fall;
}

bool RiseFall::is_changing() const {
  if (confirming_) return true;
  switch (health_) {
    case Health::kUnknown:
      return true;
    case Health::kUp:
      return failures_ > 0;
    case Health::kSoft:
      return successes_ > 0 || hard_failures_ > 0;
    case Health::kDown:
      return answers_ > 0;
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
