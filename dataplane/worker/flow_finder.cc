// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/flow_finder.h"

namespace sluice {

FlowFinder::FlowFinder(const FlowTable& flows, const ForwardingState& state) noexcept : flows_(flows), state_(state) {
  for (FlowIndex i = 0; i < flows.used(); i++) {  // those adopted from an earlier process
    has_fullnat_ |= flows[i].state != TcpState::kFree && flows[i].forwarding() == channel::Forwarding::kFullnat;
  }
}

FlowIndex FlowFinder::from_client(FlowPlace place, const Packet& packet) const noexcept {
  return flows_.find(place, [&](const Flow& flow) { return is_from_client(flow, packet); });
}

FlowIndex FlowFinder::from_backend(FlowPlace place, const Packet& packet) const noexcept {
  return flows_.find(
      place, [&](const Flow& flow) { return is_from_backend(flow, packet) || is_from_backend_to_local(flow, packet); });
}

}  // namespace sluice
