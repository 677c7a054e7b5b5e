// SPDX-License-Identifier: Apache-2.0
//
// ICMP errors about packets that the worker sent follow the flow that they quote, translated as its segments are (RFC
// 5508 section 4): path MTU discovery works through the balancer. What is about no flow of ours is punted; one that
// quotes numbers far from the flow's is dropped.
#pragma once

#include "dataplane/packet/icmp.h"
#include "dataplane/worker/exception_frame.h"
#include "dataplane/worker/flow_finder.h"
#include "dataplane/worker/icmp_errors.h"
#include "dataplane/worker/one_way.h"
#include "dataplane/worker/punt.h"

namespace sluice {

class IcmpRelay {
 public:
  IcmpRelay(const Context& context, Handover& handover, FlowFinder& finder, OneWay& one_way, IcmpErrors& icmp_errors,
            Punt& punt) noexcept
      : setup_(context.setup),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        handover_(handover),
        finder_(finder),
        one_way_(one_way),
        icmp_errors_(icmp_errors),
        punt_(punt) {}

  void pass(ExceptionFrame& frame) noexcept;

 private:
  void pass_to_backend(ExceptionFrame& frame, const IcmpError& error) noexcept;
  void pass_to_client(ExceptionFrame& frame, const IcmpError& error) noexcept;
  void pass_of_tunnel(ExceptionFrame& frame) noexcept;
  bool hand_over_of_tunnel(const ExceptionFrame& frame, const Endpoint& client) noexcept;
  void ask_or_punt(const ExceptionFrame& frame) noexcept;

  const WorkerSetup& setup_;
  Counters& counters_;
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  Handover& handover_;
  const FlowFinder& finder_;
  OneWay& one_way_;
  IcmpErrors& icmp_errors_;
  Punt& punt_;
};

}  // namespace sluice
