// SPDX-License-Identifier: Apache-2.0
//
// Gives a new flow its place in the table: room is kept for it, and with fullnat a port of ours and a second place.
// Thread safety: none; one worker owns it.
#pragma once

#include "dataplane/worker/flow_finder.h"
#include "dataplane/worker/fullnat_ports.h"
#include "dataplane/worker/table_room.h"

namespace sluice {

class FlowMaker {
 public:
  FlowMaker(const Context& context, TableRoom& room, FullnatPorts& fullnat_ports, FlowFinder& finder) noexcept
      : flows_(context.flows), state_(context.state), room_(room), fullnat_ports_(fullnat_ports), finder_(finder) {}

  /// A flow with all that `filled` says, of its service's forwarding; `place` is of its client. It has yet to begin
  /// (FlowLifecycle). kNoFlow if there is no room; `refusal` says of what. `local`: with fullnat the endpoint that it
  /// goes on from; else one is taken.
  FlowIndex make(FlowPlace place, const Flow& filled, Counter& refusal, LocalPort local = {}) noexcept;

 private:
  bool set_mode(FlowIndex index, channel::Forwarding forwarding, LocalPort local) noexcept;

  FlowTable& flows_;
  ForwardingState& state_;
  TableRoom& room_;
  FullnatPorts& fullnat_ports_;
  FlowFinder& finder_;
};

}  // namespace sluice
