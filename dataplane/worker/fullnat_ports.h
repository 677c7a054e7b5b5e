// SPDX-License-Identifier: Apache-2.0
//
// fullnat gives a flow an endpoint of ours towards its backend, under which replies find it. Ports are drawn from those
// of this worker, first such as no other flow has; then such as flows to other backends have; at last one of an
// unfinished handshake. A flow of this node's that has gone on at another keeps its port. Thread safety: none; one
// worker owns it.
#pragma once

#include <cstdint>

#include "dataplane/worker/flow_lifecycle.h"
#include "dataplane/worker/random.h"

namespace sluice {

/// Our endpoint towards a backend: an address' index and a port; port 0: none.
struct LocalPort {
  uint8_t index = 0;
  Be16 port;
};

class FullnatPorts {
 public:
  FullnatPorts(const Context& context, FlowLifecycle& lifecycle, Resets& resets, Random& random) noexcept
      : setup_(context.setup),
        clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        lifecycle_(lifecycle),
        resets_(resets),
        random_(random) {}

  LocalPort take(const Backend& backend) noexcept;

 private:
  bool may_reuse(const Flow& flow) const noexcept;
  bool is_with_peer(LocalPort local, const Backend& backend) const noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  FlowLifecycle& lifecycle_;
  Resets& resets_;
  Random& random_;
};

}  // namespace sluice
