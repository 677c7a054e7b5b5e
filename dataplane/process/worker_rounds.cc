// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/worker_rounds.h"

#include <rte_cycles.h>
#include <rte_launch.h>

#include "dataplane/contract/counters.h"
#include "dataplane/device/lcore_plan.h"

namespace sluice {

uint64_t WorkerRounds::of(uint32_t worker) const {
  return channel::read_counter(statistics_.worker(worker).counters[static_cast<size_t>(channel::Counter::kLoops)]);
}

void WorkerRounds::wait_for_one() const {
  constexpr unsigned kPauseUs = 50;
  for (uint32_t worker = 0; worker < workers_; worker++) {
    const uint64_t enough = of(worker) + 2;  // the first may have begun before
    while (rte_eal_get_lcore_state(worker_lcore(worker)) == RUNNING && of(worker) < enough) {
      rte_delay_us_sleep(kPauseUs);
    }
  }
}

}  // namespace sluice
