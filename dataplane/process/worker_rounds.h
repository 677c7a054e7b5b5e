// SPDX-License-Identifier: Apache-2.0
//
// How often the workers' loops have gone round, as they count it: a sign of life, and a way to know that none of them
// still uses what it was told to leave.
#pragma once

#include <cstdint>

#include "dataplane/process/statistics.h"

namespace sluice {

class WorkerRounds {
 public:
  WorkerRounds(Statistics& statistics, uint32_t workers) : statistics_(statistics), workers_(workers) {}

  uint64_t of(uint32_t worker) const;
  /// Waits until each has begun and ended a round since the call. One that does not run is not waited for.
  void wait_for_one() const;

 private:
  Statistics& statistics_;
  uint32_t workers_;
};

}  // namespace sluice
