// SPDX-License-Identifier: Apache-2.0
//
// How long the stages of a poll iteration take, in TSC cycles. Only every kStageSampling-th iteration is timed, and it
// counts only if it found something to do.
#pragma once

#include <rte_cycles.h>

#include <array>
#include <cstdint>

#include "dataplane/worker/counters.h"

namespace sluice {

class StageTimer {
 public:
  explicit StageTimer(Counters& counters) noexcept : counters_(counters) {}

  void begin_poll() noexcept {
    sampled_ = ++polls_ % channel::kStageSampling == 0;
    if (sampled_) begin_ = rte_rdtsc();
  }

  bool sampled() const noexcept { return sampled_; }

  /// What was done since the last stage ended was of this one.
  void end_stage(Counter stage) noexcept {
    if (!sampled_) return;
    const uint64_t now = rte_rdtsc();
    cycles_[index(stage)] += now - begin_;
    begin_ = now;
  }

  /// What was done since `begin` (TSC) is of this stage, and not of the one under way.
  void set_apart(Counter stage, uint64_t begin) noexcept {
    const uint64_t cycles = rte_rdtsc() - begin;
    cycles_[index(stage)] += cycles;
    begin_ += cycles;
  }

  void end_poll(bool busy) noexcept {
    if (!sampled_) return;
    for (uint32_t i = 0; i < kStages; i++) {
      if (busy) counters_.count(static_cast<Counter>(kFirst + i), cycles_[i]);
      cycles_[i] = 0;
    }
  }

 private:
  static constexpr uint32_t kFirst = static_cast<uint32_t>(Counter::kStagePollControl);
  static constexpr uint32_t kStages = static_cast<uint32_t>(Counter::kStageExpireSome) - kFirst + 1;

  static constexpr uint32_t index(Counter stage) noexcept { return static_cast<uint32_t>(stage) - kFirst; }

  Counters& counters_;
  uint32_t polls_ = 0;
  bool sampled_ = false;
  uint64_t begin_ = 0;  // TSC
  std::array<uint64_t, kStages> cycles_{};
};

}  // namespace sluice
