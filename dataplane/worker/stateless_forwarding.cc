// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/stateless_forwarding.h"

#include "dataplane/flow/translate.h"
#include "dataplane/packet/mss.h"
#include "dataplane/worker/modes.h"

namespace sluice {

bool StatelessForwarding::is_possible(channel::ServiceId service_id, const Backend& backend) const noexcept {
  const Service& service = state_.service(service_id);
  return service.in_use && service.forwarding == channel::Forwarding::kNat &&
         service.proxy == channel::ProxyHeader::kNone && backend.sole_service == service_id;
}

bool StatelessForwarding::may_go(Burst& burst, uint32_t i, const Service& service, uint32_t port,
                                 uint32_t overhead) noexcept {
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  if (hop_limit(*mbuf, packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired), false;
  const uint16_t mtu = egress_.mtu(port);
  if (packet.ip_bytes + overhead > mtu) {
    return icmp_errors_.answer_too_big(burst, i, static_cast<uint16_t>(mtu - overhead)), false;
  }
  if ((packet.tcp_flags & kTcpSyn) == 0) return true;
  clamp_mss(*mbuf, packet, service.mss);
  if (overhead != 0) clamp_mss(*mbuf, packet, tunnel_mss(mtu, overhead, packet.v6));
  return true;
}

/// The way there needs of a flow no more than what this one holds while the packet is under way.
void StatelessForwarding::one_way_to_backend(Burst& burst, uint32_t i, channel::ServiceId service_id,
                                             channel::BackendId id) noexcept {
  Packet& packet = burst.packet[i];
  const Service& service = state_.service(service_id);
  Flow flow{};
  flow.client = packet.source.address;
  flow.client_port = packet.source.port;
  flow.service = service_id;
  flow.backend = id;
  flow.set_mode(service.forwarding);
  if (!may_go(burst, i, service, state_.backend(id).port_index, overhead_to_backend(state_, flow))) return;
  counters_.packet_to_backend(service_id, id, packet.ip_bytes);
  counters_.count(Counter::kFlowsStateless);
  one_way_.send(burst.mbuf[i], packet, flow);
}

bool StatelessForwarding::to_backend(Burst& burst, uint32_t i, channel::ServiceId service_id,
                                     channel::BackendId known) noexcept {
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  Counter refusal = Counter::kDropNoBackend;
  const channel::BackendId id =
      known != channel::kNoBackend ? known : placement_.choose(service_id, packet, burst.place[i], false, refusal);
  if (id == channel::kNoBackend) return false;
  const Backend& backend = state_.backend(id);
  if ((backend.flags & channel::kBackendReachable) == 0) {
    if (is_opening(packet)) return false;  // whoever comes anew is told; a session that may be open waits
    return egress_.drop(mbuf, Counter::kDropBackendUnreachable), true;
  }
  const Service& service = state_.service(service_id);
  if (!sees_both_ways(service.forwarding)) return one_way_to_backend(burst, i, service_id, id), true;
  if (!is_possible(service_id, backend)) return false;
  if (!may_go(burst, i, service, backend.port_index)) return true;
  ReturnPath path{.vlan = packet.vlan, .port = burst.port[i]};
  __builtin_memcpy(path.mac.bytes.data(), rte_pktmbuf_mtod(mbuf, const uint8_t*) + 6, 6);
  return_paths_.remember(packet.source.address, path, clock_.now_ms());

  counters_.packet_to_backend(service_id, id, packet.ip_bytes);
  counters_.count(Counter::kFlowsStateless);
  sluice::to_backend(*mbuf, packet, service, backend);
  write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send(backend.port_index, mbuf);
  return true;
}

bool StatelessForwarding::to_client(Burst& burst, uint32_t i) noexcept {
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  const channel::BackendId id = state_.find_backend(packet.source);
  if (id == channel::kNoBackend) return false;
  const Backend& backend = state_.backend(id);
  const channel::ServiceId service_id = backend.sole_service;
  if (service_id == channel::kNoService || !is_possible(service_id, backend)) return false;
  const ReturnPath* path = return_paths_.find(packet.destination.address, clock_.now_ms());
  if (path == nullptr) return false;  // one of our own addresses, or a client that has to speak again first
  const Service& service = state_.service(service_id);
  if (!may_go(burst, i, service, path->port)) return true;

  counters_.packet_to_client(service_id, id, packet.ip_bytes);
  counters_.count(Counter::kFlowsStateless);
  sluice::to_client(*mbuf, packet, service, backend);
  write_ethernet(*mbuf, packet, path->mac, egress_.mac_word(path->port), path->vlan);
  egress_.send(path->port, mbuf);
  return true;
}

}  // namespace sluice
