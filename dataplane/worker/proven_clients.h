// SPDX-License-Identifier: Apache-2.0
//
// Clients whose SYN we have answered in a backend's place and who have acknowledged that: each gets a flow, and a
// backend that is asked; another if that refuses or is silent; and a word if none can be had. Thread safety: none; one
// worker owns it.
#pragma once

#include "dataplane/worker/flow_maker.h"
#include "dataplane/worker/responder.h"
#include "dataplane/worker/syn_proxy.h"

namespace sluice {

struct ProvenClientParts {
  FlowMaker& maker;
  FlowLifecycle& lifecycle;
  Placement& placement;
  ProxyInjector& proxy;
  Resets& resets;
  Responder& responder;
  SessionRecorder& records;
  SynProxy& syn_proxy;
};

class ProvenClients {
 public:
  ProvenClients(const Context& context, const ProvenClientParts& parts) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        parts_(parts) {}

  /// The packet acknowledges our answer; it ends here.
  void begin(Burst& burst, uint32_t i, channel::ServiceId service, const ProvenClient& proven) noexcept;
  /// The backend of a flow that waits refuses or is silent, for `reason`: another's turn, once.
  void ask_another(FlowIndex index, Counter reason) noexcept;

 private:
  bool ask(const Flow& client, const ProvenClient& proven, channel::BackendId avoid, Counter& refusal) noexcept;
  void refuse(const Flow& client, uint32_t sequence, Counter reason) noexcept;
  Packet syn_of(const Flow& client) const noexcept;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  const ProvenClientParts parts_;
};

}  // namespace sluice
