// SPDX-License-Identifier: Apache-2.0
//
// CLOCK_MONOTONIC, and its milliseconds at the price of a TSC read. The two are brought together again every second, so
// they drift apart by far less than a millisecond.
#pragma once

#include <rte_cycles.h>
#include <time.h>

#include <cstdint>

namespace sluice {

/// CLOCK_MONOTONIC in nanoseconds. Answered by the vDSO: no system call.
inline uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class Clock {
 public:
  Clock() noexcept : tsc_per_ms_(rte_get_tsc_hz() / 1000) { synchronise(rte_rdtsc()); }

  /// CLOCK_MONOTONIC in milliseconds at `tsc`, a reading not older than the last one. Never goes back.
  uint64_t ms_at(uint64_t tsc) noexcept {
    if (tsc - base_tsc_ > 1000 * tsc_per_ms_) synchronise(tsc);
    const uint64_t ms = base_ms_ + (tsc - base_tsc_) / tsc_per_ms_;
    if (ms > last_ms_) last_ms_ = ms;
    return last_ms_;
  }

 private:
  void synchronise(uint64_t tsc) noexcept {
    base_ms_ = monotonic_ns() / 1'000'000;
    base_tsc_ = tsc;
  }

  uint64_t tsc_per_ms_;
  uint64_t base_tsc_ = 0;
  uint64_t base_ms_ = 0;
  uint64_t last_ms_ = 0;
};

}  // namespace sluice
