// SPDX-License-Identifier: Apache-2.0
//
// The way to backends whose replies are not seen: the client's packet goes to the backend's station as it is (dsr), or
// inside a tunnel from an address of ours (ipip, gue).
#pragma once

#include "dataplane/flow/translate.h"
#include "dataplane/packet/encapsulate.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/modes.h"

namespace sluice {

class OneWay {
 public:
  explicit OneWay(const Context& context) noexcept
      : flows_(context.flows), state_(context.state), egress_(context.egress) {}

  /// Puts the flow's tunnel, if it has one, around the packet at `packet.l3_offset`. False if we have no address
  /// towards the backend, or there is no room before it.
  bool wrap(rte_mbuf& mbuf, Packet& packet, const Flow& flow) noexcept {
    if (!is_tunnelled(flow)) return true;
    const Backend& backend = state_.backend(flow.backend);
    const Local* local = state_.local_towards(backend);
    if (local == nullptr) return false;
    Tunnel tunnel{.source = local->address,
                  .destination = backend.endpoint.address,
                  .address_sums = uint32_t{local->address_sum} + backend.sums.address,
                  .gue = flow.forwarding() == channel::Forwarding::kGue};
    if (tunnel.has_entropy()) tunnel.entropy = static_cast<uint16_t>(flows_.hash(flow.client_endpoint()) >> 48);
    return encapsulate(mbuf, packet, tunnel);
  }

  /// Takes one hop off, wraps and sends, or drops.
  void send(rte_mbuf* mbuf, Packet& packet, const Flow& flow) noexcept {
    take_hop(*mbuf, packet);
    if (!wrap(*mbuf, packet, flow)) return egress_.drop(mbuf, Counter::kDropNoLocalPort);
    const Backend& backend = state_.backend(flow.backend);
    write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
    egress_.send(backend.port_index, mbuf);
  }

 private:
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
};

}  // namespace sluice
