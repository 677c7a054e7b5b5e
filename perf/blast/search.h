// SPDX-License-Identifier: Apache-2.0
//
// The highest rate at which nothing is lost (RFC 2544 section 26.1, throughput): trials at one rate after the other,
// halving the interval in which the answer lies. Pure: what a trial is, its caller says.
#pragma once

#include <cstdint>

namespace sluice::blast {

struct SearchLimits {
  double lowest;      // below this the search gives up
  double highest;     // the first rate tried
  double resolution;  // of the answer, as a part of it: 0.02 is 2 %
};

/// `succeeds(rate)` runs a trial. Returns the highest rate that succeeded, 0 if none did.
template <typename Succeeds>
double highest_rate(const SearchLimits& limits, Succeeds succeeds) {
  if (succeeds(limits.highest)) return limits.highest;
  double good = 0;
  double bad = limits.highest;
  double rate = limits.lowest;
  while (bad - good > limits.resolution * bad) {
    if (succeeds(rate)) {
      good = rate;
    } else {
      bad = rate;
      if (good == 0) return 0;  // not even the lowest
    }
    rate = (good + bad) / 2;
  }
  return good;
}

}  // namespace sluice::blast
