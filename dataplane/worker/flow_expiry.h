// SPDX-License-Identifier: Apache-2.0
//
// Finds the flows whose time is up, or whose backend is lost or leaves: a hand goes round the table a little in each
// poll iteration, so that every flow is visited once in kRoundMs. Another looks for closed flows whose places a full
// table needs. Thread safety: none; one worker owns it.
#pragma once

#include <cstdint>

#include "dataplane/worker/farewell.h"
#include "dataplane/worker/flow_lifecycle.h"

namespace sluice {

class FlowExpiry {
 public:
  static constexpr uint64_t kRoundMs = 2000;
  static constexpr uint64_t kVisitsPerPoll = 256;  // at most, unless backends were lost
  static constexpr uint64_t kUrgentVisitsPerPoll = 4096;

  FlowExpiry(const Context& context, SmtpObserver& observer, Resets& resets, FlowLifecycle& lifecycle,
             Farewell& farewell) noexcept;

  /// Visits as many flows as are due. Returns whether there were any.
  bool sweep() noexcept;
  /// Backends were lost: all flows are to be visited at once.
  void hurry() noexcept { urgent_ = flows_.used(); }

  /// Frees a closed flow before its time, if one is found soon. It can be taken after this burst.
  bool recycle_closed() noexcept;

 private:
  void visit(FlowIndex index) noexcept;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  SmtpObserver& observer_;
  Resets& resets_;
  FlowLifecycle& lifecycle_;
  Farewell& farewell_;
  const OnIdleExpiry on_idle_expiry_;
  FlowIndex sweep_hand_ = 0;
  FlowIndex recycle_hand_ = 0;
  uint64_t credited_ms_;  // when the sweep was last credited
  uint64_t credit_ = 0;   // flows to be visited, times kRoundMs
  uint64_t urgent_ = 0;   // flows to be visited at once
};

}  // namespace sluice
