// SPDX-License-Identifier: Apache-2.0
//
// What follows from a flow's forwarding mode: which ends its backend sees, whether the way back is seen, what a tunnel
// adds. nat and fullnat see both ways; dsr and the tunnels leave the client's packet as it is and see only its half.
#pragma once

#include <cstdint>

#include "dataplane/packet/encapsulate.h"
#include "dataplane/worker/forwarding_state.h"

namespace sluice {

inline bool sees_both_ways(channel::Forwarding forwarding) noexcept {
  return forwarding <= channel::Forwarding::kFullnat;
}
inline bool sees_both_ways(const Flow& flow) noexcept {
  return sees_both_ways(flow.forwarding());
}
inline bool is_tunnelled(const Flow& flow) noexcept {
  return flow.forwarding() >= channel::Forwarding::kIpip;
}

/// The client's end as the backend knows it.
inline Endpoint client_at_backend(const ForwardingState& state, const Flow& flow) noexcept {
  if (flow.forwarding() != channel::Forwarding::kFullnat) return flow.client_endpoint();
  return {state.local(flow.local_index()).address, flow.local_port};
}

/// The end that the backend believes to be its own.
inline const Endpoint& service_at_backend(const ForwardingState& state, const Flow& flow) noexcept {
  return sees_both_ways(flow) ? state.backend(flow.backend).endpoint : state.service(flow.service).vip;
}

/// Bytes that are put before a packet on its way to the backend.
inline uint32_t overhead_to_backend(const ForwardingState& state, const Flow& flow) noexcept {
  if (!is_tunnelled(flow)) return 0;
  const bool outer_v6 = !state.backend(flow.backend).endpoint.address.is_v4();
  return tunnel_overhead(flow.forwarding() == channel::Forwarding::kGue, outer_v6);
}

}  // namespace sluice
