// SPDX-License-Identifier: Apache-2.0
//
// Tells the exchange with other nodes (peers/exchange.h) which flows have changed: their indices, by a ring. It never
// waits: what finds no room is told with the next refresh. Thread safety: none; one worker owns it.
#pragma once

#include <rte_ring_elem.h>

#include "dataplane/base/token_bucket.h"
#include "dataplane/worker/counters.h"
#include "dataplane/worker/poll_clock.h"

namespace sluice {

class FlowTeller {
 public:
  /// Flows that begin, of each worker: what a flood of SYNs may take of the way to the other nodes.
  static constexpr uint32_t kBeginningsPerSecond = 100'000;

  /// `tells`: the ring, of FlowIndex; null = there is nobody to tell.
  FlowTeller(const PollClock& clock, Counters& counters, rte_ring* tells) noexcept
      : clock_(clock),
        counters_(counters),
        tells_(tells),
        beginnings_(kBeginningsPerSecond, kBeginningsPerSecond / 10, clock.now_ms()) {}

  void begins(FlowIndex index) noexcept {
    if (tells_ != nullptr && beginnings_.take(clock_.now_ms())) changed(index);
  }
  /// A flow was established, or is over.
  void changed(FlowIndex index) noexcept {
    if (tells_ == nullptr) return;
    if (rte_ring_sp_enqueue_elem(tells_, &index, sizeof index) != 0) counters_.count(Counter::kTellsLost);
  }

 private:
  const PollClock& clock_;
  Counters& counters_;
  rte_ring* tells_;
  TokenBucket beginnings_;
};

}  // namespace sluice
