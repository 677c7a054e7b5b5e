// SPDX-License-Identifier: Apache-2.0
//
// From single results to a state: `fall` failures in a row take a backend down, `rise` successes in a row bring it
// back. A backend that puts us off (4xx) `fall` times in a row, or by turns with failures, is soft: it lives, and its
// sessions go on; one that was down is soft again after `rise` such answers. At the start nothing is known and the
// first success is enough: `rise` guards against flapping, and a backend that has not failed yet has not flapped.
// Control keeps an unknown backend out of service.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "healthcheck/verdict.h"

namespace sluice::health {

enum class Health : uint8_t { kUnknown, kUp, kSoft, kDown };

/// "unknown", "up", "soft", "down".
std::string_view name_of(Health health);

class RiseFall {
 public:
  using Time = std::chrono::system_clock::time_point;

  /// `rise`, `fall` >= 1.
  RiseFall(uint32_t rise, uint32_t fall, Time now);

  /// Takes one result; true if the health changed by it.
  bool on_result(Outcome outcome, Time now);
  /// Counts from zero again; the health stays until the results that follow change or confirm it.
  void start_over();
  /// New bounds after a reload; they count from the next result on.
  void set_bounds(uint32_t rise, uint32_t fall);

  Health health() const { return health_; }
  Time since() const { return since_; }
  uint32_t successes() const { return successes_; }  // in a row, ending with the last result
  uint32_t failures() const { return failures_; }    // in a row, soft ones included
  /// The results since start_over(), if it was called, have made up its mind.
  bool is_settled() const { return !confirming_; }
  /// The health may be about to change, or is not known: worth a faster look.
  bool is_changing() const;

 private:
  bool on_failure(Outcome outcome, Time now);
  bool move_to(Health health, Time now);

  uint32_t rise_;
  uint32_t fall_;
  Time since_;
  Health health_ = Health::kUnknown;
  uint32_t successes_ = 0;
  uint32_t failures_ = 0;
  uint32_t hard_failures_ = 0;  // in a row
  uint32_t answers_ = 0;        // successes and soft ones, in a row
  bool confirming_ = false;     // the health is from before start_over()
};

}  // namespace sluice::health
