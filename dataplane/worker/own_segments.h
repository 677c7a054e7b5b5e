// SPDX-License-Identifier: Apache-2.0
//
// The frame around segments that we make for a flow: ends, stations and VLAN, towards its client or its backend.
// Flags, numbers and what else there is are the caller's.
#pragma once

#include "dataplane/packet/reset.h"
#include "dataplane/worker/egress.h"
#include "dataplane/worker/modes.h"

namespace sluice {

/// Through which port a flow's client is reached.
inline uint32_t port_to_client(const Flow& flow) noexcept {
  return flow.vlan_and_port >> 12;
}

inline MadeSegment segment_to_client(const ForwardingState& state, const Egress& egress, const Flow& flow) noexcept {
  MadeSegment out;
  out.source = state.service(flow.service).vip;
  out.destination = flow.client_endpoint();
  out.source_mac = egress.mac(port_to_client(flow));
  out.destination_mac = flow.client_mac;
  out.vlan = flow.vlan_and_port & 0x0fff;
  return out;
}

/// To be sent through the backend's port. A tunnel is still to be put around it.
inline MadeSegment segment_to_backend(const ForwardingState& state, const Egress& egress, const Flow& flow) noexcept {
  const Backend& backend = state.backend(flow.backend);
  MadeSegment out;
  out.source = client_at_backend(state, flow);
  out.destination = service_at_backend(state, flow);
  out.source_mac = egress.mac(backend.port_index);
  out.destination_mac = backend.next_hop;
  out.vlan = backend.vlan;
  return out;
}

}  // namespace sluice
