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

  void set(uint64_t now_ms) noexcept { now_ms_ = now_ms; }

  uint64_t now_ms() const noexcept { return now_ms_; }
  uint32_t now32_ms() const noexcept { return static_cast<uint32_t>(now_ms_); }

  /// When a flow is over that is in this state, not established, and of which nothing more is heard.
  uint32_t deadline_ms(TcpState state) const noexcept { return now32_ms() + timeout_ms_[static_cast<size_t>(state)]; }
  /// Likewise in any state. `idle_timeout_ms`: of its service.
  uint32_t deadline_ms(TcpState state, uint32_t idle_timeout_ms) const noexcept {
    const bool is_open = state == TcpState::kEstablished || state == TcpState::kAdopted;
    return is_open ? now32_ms() + idle_timeout_ms : deadline_ms(state);
  }

 private:
  uint64_t now_ms_ = 0;
  std::array<uint32_t, static_cast<size_t>(TcpState::kReset) + 1> timeout_ms_;
};

}  // namespace sluice
