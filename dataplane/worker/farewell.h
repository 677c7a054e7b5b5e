// SPDX-License-Identifier: Apache-2.0
//
// A word instead of a reset for sessions of a backend that leaves (channel::kBackendLeaving). Where no message is under
// way and both sides have all that was said, the client's next command is not forwarded: it is answered with 421 and a
// FIN (RFC 5321 section 3.8), which is the responder's to bring home, and the backend gets a reset. QUIT goes on, and
// so do STARTTLS, AUTH and what belongs to a message. A client that is silent there is asked first, by a keep-alive
// (RFC 9293 section 3.8.4): its answer says whether it has the server's last reply. Told before it has that, it would
// send the message once more. A dialogue that is not known, encrypted, or not watched, goes on to its end.
//
// Thread safety: none; one worker owns it. Nothing of it is on the way of flows whose backends stay.
#pragma once

#include "dataplane/base/token_bucket.h"
#include "dataplane/smtp/observer.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/flow_lifecycle.h"
#include "dataplane/worker/responder.h"

namespace sluice {

class Farewell {
 public:
  static constexpr uint32_t kSilentMs = 5000;       // without a segment of either side
  static constexpr uint32_t kAskedPerSecond = 256;  // fewer than the responder has room for (RefusalTable, kLingerMs)

  Farewell(const Context& context, SmtpObserver& observer, FlowLifecycle& lifecycle, Responder& responder) noexcept;

  bool is_leaving(const Flow& flow) const noexcept {
    return (state_.backend(flow.backend).flags & channel::kBackendLeaving) != 0;
  }

  /// A client's segment of a flow whose backend leaves. True: its client has been told, and the segment dealt with.
  bool tell(Burst& burst, uint32_t i) noexcept;

  /// A client's segment of a flow that we have ended. True: its client is being told, and the segment dealt with.
  bool goes_on(Burst& burst, uint32_t i) noexcept { return responder_.take(burst, i, flows_[burst.flow[i]].service); }

  /// A flow whose backend leaves: asks its client if that is silent.
  void ask_if_silent(FlowIndex index) noexcept;

 private:
  bool is_silent(const Flow& flow) const noexcept {
    return lifecycle_.deadline_ms_of(flow) - flow.deadline_ms >= kSilentMs;
  }

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  SmtpObserver& observer_;
  FlowLifecycle& lifecycle_;
  Responder& responder_;
  const uint32_t ports_;
  TokenBucket asked_;
};

}  // namespace sluice
