// SPDX-License-Identifier: Apache-2.0
//
// The loop around Worker::poll: time, idling, and how much of the time was work.
#include <rte_cycles.h>
#include <rte_pause.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "dataplane/base/boot_id.h"
#include "dataplane/base/clock.h"
#include "dataplane/worker/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kIdlePollsBeforeSleep = 64;
constexpr long kShortestSleepNs = 20'000;
constexpr long kLongestSleepNs = 200'000;

/// Sleeps longer the longer there was nothing to do.
class Idler {
 public:
  explicit Idler(Idle mode) : mode_(mode) {}

  void busy() noexcept { idle_polls_ = 0; }

  void idle() noexcept {
    idle_polls_++;
    if (mode_ == Idle::kPoll) return;
    if (mode_ == Idle::kPause || idle_polls_ < kIdlePollsBeforeSleep) return rte_pause();
    const long beyond = idle_polls_ - kIdlePollsBeforeSleep;
    const timespec duration{0, std::min(kLongestSleepNs, kShortestSleepNs + beyond * 1000)};
    nanosleep(&duration, nullptr);
  }

 private:
  Idle mode_;
  uint32_t idle_polls_ = 0;
};

}  // namespace

int run_worker(const WorkerSetup& setup) {
  Clock clock;
  uint64_t begin = rte_rdtsc();
  const auto worker = std::make_unique<Worker>(setup, setup.hash_seed, read_boot_id(), clock.ms_at(begin));
  Idler idler(setup.idle);
  uint64_t* counters = setup.stats->counters;
  while (!setup.stop->load(std::memory_order_relaxed)) {
    const bool busy = worker->poll(clock.ms_at(begin));
    const uint64_t end = rte_rdtsc();
    counters[static_cast<size_t>(channel::Counter::kLoops)]++;
    if (busy) {
      counters[static_cast<size_t>(channel::Counter::kBusyCycles)] += end - begin;
      idler.busy();
      begin = end;
    } else {
      counters[static_cast<size_t>(channel::Counter::kLoopsIdle)]++;
      idler.idle();
      begin = rte_rdtsc();
    }
  }
  return 0;
}

}  // namespace sluice
