// SPDX-License-Identifier: Apache-2.0
//
// ICMP errors about packets that the worker sent follow the flow that they quote, translated as its segments are (RFC
// 5508 section 4): path MTU discovery works through the balancer. One that quotes numbers far from the flow's is
// dropped. What is about a client's flow that is not here may be of a flow that is at another node, as routers spread
// errors by who sent them: it goes to the backend that the node has told, or else to whom the hash leads. What is about
// a backend's flow that is at another node goes to the client that it has told. What is about nothing of ours is
// punted.
#pragma once

#include "dataplane/flow/source_budget.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/worker/exception_frame.h"
#include "dataplane/worker/flow_finder.h"
#include "dataplane/worker/icmp_errors.h"
#include "dataplane/worker/one_way.h"
#include "dataplane/worker/placement.h"
#include "dataplane/worker/punt.h"
#include "dataplane/worker/told_flows.h"

namespace sluice {

class IcmpRelay {
 public:
  /// Of errors without a flow so many a second are passed on: a backend would judge each of them. No source uses it up
  /// alone.
  static constexpr uint32_t kAbsentPerSecond = 1000;

  IcmpRelay(const Context& context, Handover& handover, FlowFinder& finder, OneWay& one_way, IcmpErrors& icmp_errors,
            Punt& punt, Placement& placement, ToldFlows& told, const Ownership& ownership) noexcept
      : setup_(context.setup),
        clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        handover_(handover),
        finder_(finder),
        one_way_(one_way),
        icmp_errors_(icmp_errors),
        punt_(punt),
        placement_(placement),
        told_(told),
        ownership_(ownership),
        absent_(kAbsentPerSecond, kAbsentPerSecond / 10, context.clock.now_ms()) {}

  void pass(ExceptionFrame& frame) noexcept;

 private:
  void pass_to_backend(ExceptionFrame& frame, const IcmpError& error) noexcept;
  void pass_to_client(ExceptionFrame& frame, const IcmpError& error) noexcept;
  void pass_of_tunnel(ExceptionFrame& frame) noexcept;
  bool hand_over_of_tunnel(const ExceptionFrame& frame, const Endpoint& client) noexcept;
  /// `server_shift`: by how much the client counts the backend's numbers further (FlowTable::server_shift()).
  void send_to_backend(ExceptionFrame& frame, const IcmpError& error, const Flow& flow, uint32_t server_shift) noexcept;
  void send_to_client(ExceptionFrame& frame, const IcmpError& error, const Flow& flow, uint32_t server_shift) noexcept;
  bool may_pass_absent(const ExceptionFrame& frame) noexcept;
  bool pass_without_flow(ExceptionFrame& frame, const IcmpError& error) noexcept;
  bool pass_to_client_without_flow(ExceptionFrame& frame, const IcmpError& error) noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  Handover& handover_;
  const FlowFinder& finder_;
  OneWay& one_way_;
  IcmpErrors& icmp_errors_;
  Punt& punt_;
  Placement& placement_;
  ToldFlows& told_;
  const Ownership& ownership_;
  SourceBudget absent_;
};

}  // namespace sluice
