// SPDX-License-Identifier: Apache-2.0
//
// Fragments of TCP segments. The first carries the ports and goes the way of a segment; what it says of its datagram is
// remembered, and the later ones follow it (flow/fragments.h). Thread safety: none; one worker owns it.
#pragma once

#include "dataplane/flow/fragments.h"
#include "dataplane/worker/exception_frame.h"
#include "dataplane/worker/flow_finder.h"
#include "dataplane/worker/one_way.h"
#include "dataplane/worker/punt.h"

namespace sluice {

class FragmentRelay {
 public:
  FragmentRelay(const Context& context, Handover& handover, FlowFinder& finder, OneWay& one_way, Punt& punt,
                uint64_t hash_seed) noexcept
      : setup_(context.setup),
        clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        handover_(handover),
        finder_(finder),
        one_way_(one_way),
        punt_(punt),
        fragments_(hash_seed) {}

  /// Notes where the later ones are to go. The first goes on as a segment.
  void meet_first(uint32_t port, const Packet& packet, FlowPlace place, bool from_client) noexcept;

  /// Sends a later one after the first.
  void pass(ExceptionFrame& frame) noexcept;

 private:
  void pass_to_backend(ExceptionFrame& frame, const Flow& flow) noexcept;
  void pass_to_client(ExceptionFrame& frame, const Flow& flow) noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  Handover& handover_;
  const FlowFinder& finder_;
  OneWay& one_way_;
  Punt& punt_;
  FragmentTable fragments_;
};

}  // namespace sluice
