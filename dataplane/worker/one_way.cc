// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/one_way.h"

#include "dataplane/flow/translate.h"
#include "dataplane/packet/encapsulate.h"
#include "dataplane/worker/modes.h"

namespace sluice {

bool OneWay::wrap(rte_mbuf& mbuf, Packet& packet, const Flow& flow) noexcept {
  if (!is_tunnelled(flow)) return true;
  const Backend& backend = state_.backend(flow.backend);
  const Local* local = state_.local_towards(backend);
  if (local == nullptr) return false;
  const Tunnel tunnel{.source = local->address,
                      .destination = backend.endpoint.address,
                      .gue = flow.forwarding() == channel::Forwarding::kGue,
                      .entropy = static_cast<uint16_t>(flows_.hash(flow.client_endpoint()) >> 48)};
  return encapsulate(mbuf, packet, tunnel);
}

void OneWay::send(rte_mbuf* mbuf, Packet& packet, const Flow& flow) noexcept {
  take_hop(*mbuf, packet);
  if (!wrap(*mbuf, packet, flow)) return egress_.drop(mbuf, Counter::kDropNoLocalPort);
  const Backend& backend = state_.backend(flow.backend);
  write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send(backend.port_index, mbuf);
}

}  // namespace sluice
