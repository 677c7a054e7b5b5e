// SPDX-License-Identifier: Apache-2.0
//
// The loop around Worker::turn: time, idling, and how much of the time was work.
#include <rte_cycles.h>
#include <rte_pause.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>

#include "dataplane/clock.h"
#include "dataplane/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kIdleTurnsBeforeSleep = 64;
constexpr long kShortestSleepNs = 20'000;
constexpr long kLongestSleepNs = 200'000;

/// Identifies the boot whose CLOCK_MONOTONIC deadlines count in: a hash of the kernel's random id. 0 if unreadable.
uint64_t read_boot_id() {
  FILE* file = fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file == nullptr) return 0;
  char text[64] = {};
  const size_t bytes = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ static_cast<uint8_t>(text[i])) * 0x100000001b3;
  return hash;
}

/// Sleeps longer the longer there was nothing to do.
class Idler {
 public:
  explicit Idler(Idle mode) : mode_(mode) {}

  void busy() noexcept { idle_turns_ = 0; }

  void idle() noexcept {
    idle_turns_++;
    if (mode_ == Idle::kPoll) return;
    if (mode_ == Idle::kPause || idle_turns_ < kIdleTurnsBeforeSleep) return rte_pause();
    const long beyond = idle_turns_ - kIdleTurnsBeforeSleep;
    const timespec duration{0, std::min(kLongestSleepNs, kShortestSleepNs + beyond * 1000)};
    nanosleep(&duration, nullptr);
  }

 private:
  Idle mode_;
  uint32_t idle_turns_ = 0;
};

}  // namespace

int run_worker(const WorkerSetup& setup) {
  Clock clock;
  uint64_t begin = rte_rdtsc();
  const auto worker = std::make_unique<Worker>(setup, setup.hash_seed, read_boot_id(), clock.ms_at(begin));
  Idler idler(setup.idle);
  uint64_t* counters = setup.stats->counters;
  while (!setup.stop->load(std::memory_order_relaxed)) {
    const bool busy = worker->turn(clock.ms_at(begin));
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
