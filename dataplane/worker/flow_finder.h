// SPDX-License-Identifier: Apache-2.0
//
// Which flow a packet is of. From the client's side a flow is known by client and VIP, from the backend's by backend
// and client, or, with fullnat, by backend and our endpoint towards it.
#pragma once

#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/local_ports.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/forwarding_state.h"

namespace sluice {

class FlowFinder {
 public:
  FlowFinder(const FlowTable& flows, const ForwardingState& state) noexcept;

  bool is_from_client(const Flow& flow, const Packet& packet) const noexcept {
    return flow.is_of(packet.source) && state_.service(flow.service).vip == packet.destination;
  }
  bool is_from_backend(const Flow& flow, const Packet& packet) const noexcept {
    return flow.is_of(packet.destination) && flow.forwarding() == channel::Forwarding::kNat &&
           state_.backend(flow.backend).endpoint == packet.source;
  }

  /// kNoFlow if there is none.
  FlowIndex from_client(FlowPlace place, const Packet& packet) const noexcept;
  FlowIndex from_client(const Packet& packet) const noexcept {
    return from_client(flows_.place(flows_.hash(packet.source)), packet);
  }
  FlowIndex from_backend(FlowPlace place, const Packet& packet) const noexcept;
  FlowIndex from_backend(const Packet& packet) const noexcept {
    return from_backend(place_of_reply_to(packet.destination), packet);
  }

  /// The fullnat flow of a backend's packet to our address `local`.
  FlowIndex from_local(uint8_t local, const Packet& packet) const noexcept {
    return flows_.find(flows_.place(flows_.hash_local(local, packet.destination.port)),
                       [&](const Flow& flow) { return is_from_backend_to_local(flow, packet); });
  }

  /// Where the flow of a packet from a backend is indexed, by the packet's destination.
  FlowPlace place_of_reply_to(const Endpoint& destination) const noexcept {
    if (has_fullnat_ && is_local_port(destination.port)) {
      const uint32_t local = state_.find_local(destination.address);
      if (local != channel::kMaxLocals)
        return flows_.place(flows_.hash_local(static_cast<uint8_t>(local), destination.port));
    }
    return flows_.place(flows_.hash(destination));
  }

  /// There are, or were, fullnat flows: replies may be to an address of ours.
  bool has_fullnat() const noexcept { return has_fullnat_; }
  void note_fullnat() noexcept { has_fullnat_ = true; }

 private:
  bool is_from_backend_to_local(const Flow& flow, const Packet& packet) const noexcept {
    return flow.forwarding() == channel::Forwarding::kFullnat && flow.local_port == packet.destination.port &&
           state_.local(flow.local_index()).address == packet.destination.address &&
           state_.backend(flow.backend).endpoint == packet.source;
  }

  const FlowTable& flows_;
  const ForwardingState& state_;
  bool has_fullnat_ = false;
};

}  // namespace sluice
