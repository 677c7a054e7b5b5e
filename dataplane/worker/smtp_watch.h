// SPDX-License-Identifier: Apache-2.0
//
// Shows tracked segments that matter to the SMTP observer. Out of line, as most do not. `expected`: the sequence number
// that its sender was to use next before the segment.
#pragma once

#include "dataplane/smtp/observer.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"

namespace sluice {

class SmtpWatch {
 public:
  SmtpWatch(const Context& context, SmtpObserver& observer) noexcept
      : clock_(context.clock), flows_(context.flows), state_(context.state), observer_(observer) {}

  void client_segment(const Burst& burst, uint32_t i, const Flow& flow, uint32_t expected) noexcept {
    if (SmtpObserver::client_matters(flow, burst.packet[i])) show_client(burst, i, expected);
  }
  void backend_segment(const Burst& burst, uint32_t i, const Flow& flow, uint32_t expected) noexcept {
    if (SmtpObserver::backend_matters(flow, burst.packet[i])) show_backend(burst, i, expected);
  }

 private:
  [[gnu::noinline]] void show_client(const Burst& burst, uint32_t i, uint32_t expected) noexcept {
    Flow& flow = flows_[burst.flow[i]];
    observer_.from_client(burst.flow[i], flow, state_.service(flow.service),
                          observed_segment(*burst.mbuf[i], burst.packet[i], expected), clock_.now_ms());
  }
  [[gnu::noinline]] void show_backend(const Burst& burst, uint32_t i, uint32_t expected) noexcept {
    Flow& flow = flows_[burst.flow[i]];
    observer_.from_backend(burst.flow[i], flow, state_.service(flow.service),
                           observed_segment(*burst.mbuf[i], burst.packet[i], expected), clock_.now_ms());
  }

  const PollClock& clock_;
  FlowTable& flows_;
  const ForwardingState& state_;
  SmtpObserver& observer_;
};

}  // namespace sluice
