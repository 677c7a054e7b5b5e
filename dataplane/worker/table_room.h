// SPDX-License-Identifier: Apache-2.0
//
// Which flows give way to new ones when the table fills. Handshakes that have lasted longer than a round trip go first,
// then what is closed, then the oldest handshake of all. Established flows never do, but for idle ones that lose
// nothing by it, before young handshakes: those whose packets need no entry (dsr, tunnels) and go to the same backend
// without. What gives way now can be taken after this burst, so a burst's worth of places is kept free ahead. Thread
// safety: none; one worker owns it.
#pragma once

#include <cstdint>

#include "dataplane/worker/burst.h"
#include "dataplane/worker/flow_expiry.h"
#include "dataplane/worker/placement.h"

namespace sluice {

class TableRoom {
 public:
  /// A handshake of this age is not one of a client that is there: the longest round trips, and a lost packet.
  static constexpr uint32_t kHandshakeMs = 1000;

  /// Of those that lose nothing, one heard of within this time stays.
  static constexpr uint32_t kIdleMs = 60'000;

  TableRoom(const Context& context, FlowLifecycle& lifecycle, FlowExpiry& expiry, const Placement& placement,
            Random& random) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        lifecycle_(lifecycle),
        expiry_(expiry),
        placement_(placement),
        random_(random) {}

  /// To be called for each new flow, before it takes its place.
  void keep() noexcept {
    if (flows_.available() < Burst::kSize) [[unlikely]]
      make();
  }

  /// Likewise for a packet on whose word alone nothing that may go on is to give way: anybody can forge one.
  void keep_of_what_is_over() noexcept {
    if (flows_.available() < Burst::kSize) (void)make_of_what_is_over();
  }

 private:
  void make() noexcept;
  bool make_of_what_is_over() noexcept;
  bool recycle_closed() noexcept;
  bool displace_idle() noexcept;
  bool loses_nothing(const Flow& flow) const noexcept;

  static constexpr uint32_t kIdleProbes = 8;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  FlowLifecycle& lifecycle_;
  FlowExpiry& expiry_;
  const Placement& placement_;
  Random& random_;
  uint64_t none_closed_ms_ = 0;  // when the last search for a closed flow was in vain
  uint64_t none_idle_ms_ = 0;    // likewise for an idle one
};

}  // namespace sluice
