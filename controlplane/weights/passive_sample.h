// SPDX-License-Identifier: Apache-2.0
//
// What the traffic shows of a member: plain numbers from the counters of the data plane.
#pragma once

#include <cstdint>

#include "dataplane/contract/observation.h"

namespace sluice::control {

/// What a member's new connections came to since the last sample.
struct PassiveSample {
  uint64_t connected = 0;                 // handshakes completed
  uint64_t failed = 0;                    // handshakes that the backend did not complete
  uint64_t soft = 0;                      // 4xx greetings, and sessions that were broken off with 421
  uint64_t refused = 0;                   // 5xx greetings
  channel::GreetingHistogram greeting{};  // times to greeting

  uint64_t attempts() const { return connected + failed; }
  uint64_t greeted() const;
  PassiveSample& operator+=(const PassiveSample& other);
};

/// What `now` has more than `before`; 0 where it has less, as after a restart of the data plane.
PassiveSample difference(const PassiveSample& now, const PassiveSample& before);

/// What a greeting takes: the mean, but within the bucket of the median, so that a few slow ones do not move it far. 0
/// if there is none.
double typical_ms(const channel::GreetingHistogram& greeting);

}  // namespace sluice::control
