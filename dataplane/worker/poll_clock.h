// SPDX-License-Identifier: Apache-2.0
//
// The time of a poll iteration: read once, the same for all that is done in it. Deadlines of flows count in the low 32
// bits of CLOCK_MONOTONIC milliseconds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/contract/flow.h"

namespace sluice {

class PollClock {
 public:
  PollClock(const FlowTimers& timers, uint64_t now_ms) noexcept {
    for (size_t i = 0; i < timeout_ms_.size(); i++) timeout_ms_[i] = timeout_ms(static_cast<TcpState>(i), timers);
    set(now_ms);
  }

  void set(uint64_t now_ms) noexcept {
    now_ms_ = now_ms;
    established_deadline_ms_ = deadline_ms(TcpState::kEstablished);
  }

  uint64_t now_ms() const noexcept { return now_ms_; }
  uint32_t now32_ms() const noexcept { return static_cast<uint32_t>(now_ms_); }

  /// When a flow is over that is in this state and of which nothing more is heard.
  uint32_t deadline_ms(TcpState state) const noexcept { return now32_ms() + timeout_ms_[static_cast<size_t>(state)]; }
  uint32_t established_deadline_ms() const noexcept { return established_deadline_ms_; }

 private:
  uint64_t now_ms_ = 0;
  uint32_t established_deadline_ms_ = 0;
  std::array<uint32_t, static_cast<size_t>(TcpState::kReset) + 1> timeout_ms_;
};

}  // namespace sluice
