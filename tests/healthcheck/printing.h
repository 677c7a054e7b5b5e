// SPDX-License-Identifier: Apache-2.0
//
// Words instead of bytes where a comparison of facts fails.
#pragma once

#include <ostream>

#include "healthcheck/rise_fall.h"
#include "healthcheck/verdict.h"

namespace sluice::health {

inline void PrintTo(Fact fact, std::ostream* out) {
  *out << name_of(fact);
}
inline void PrintTo(Step step, std::ostream* out) {
  *out << name_of(step);
}
inline void PrintTo(Health health, std::ostream* out) {
  *out << name_of(health);
}

}  // namespace sluice::health
