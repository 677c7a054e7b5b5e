// SPDX-License-Identifier: Apache-2.0
//
// Connections without a flow entry: what happens when the table is full. Every packet of a client is placed by the hash
// that would have placed its connection, so all of them reach one backend as long as tables and backends stay as they
// are; the schedulers that choose by load or in turn have no say. A backend's replies name no service, so this is only
// done for backends that a single service forwards to. Nothing is observed, timed or counted as a flow. As soon as
// there is room again, the connection's next packet is adopted, by the same hash.
#include "dataplane/mss.h"
#include "dataplane/translate.h"
#include "dataplane/worker.h"

namespace sluice {

void Worker::meet_full_table(uint32_t i, channel::ServiceId service_id) noexcept {
  if (setup_.on_table_full == OnTableFull::kSilence) {
    setup_.stats->services[service_id].flows_refused += is_opening(burst_.packet[i]) ? 1 : 0;
    return drop(burst_.mbuf[i], Counter::kDropTableFull);
  }
  if (setup_.on_table_full == OnTableFull::kStateless && pass_stateless_to_backend(i, service_id)) return;
  setup_.stats->services[service_id].flows_refused += is_opening(burst_.packet[i]) ? 1 : 0;
  answer_with_reset(i, Counter::kDropTableFull);
}

bool Worker::is_stateless(channel::ServiceId service_id, const Backend& backend) const noexcept {
  const Service& service = state_.service(service_id);
  return service.in_use && service.forwarding == channel::Forwarding::kNat &&
         service.proxy == channel::ProxyHeader::kNone && backend.sole_service == service_id;
}

bool Worker::pass_stateless_to_backend(uint32_t i, channel::ServiceId service_id) noexcept {
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  Counter refusal = Counter::kDropNoBackend;
  const channel::BackendId id = choose_backend(service_id, packet, burst_.place[i], false, refusal);
  if (id == channel::kNoBackend) return false;
  const Backend& backend = state_.backend(id);
  if (!is_stateless(service_id, backend)) return false;
  const Service& service = state_.service(service_id);
  if (hop_limit(*mbuf, packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired), true;
  const uint16_t mtu = setup_.port[backend.port_index].mtu;
  if (packet.ip_bytes > mtu) return answer_too_big(i, mtu), true;
  if ((packet.tcp_flags & kTcpSyn) != 0) clamp_mss(*mbuf, packet, service.mss);
  ReturnPath path{.vlan = packet.vlan, .port = burst_.port[i]};
  __builtin_memcpy(path.mac.bytes.data(), rte_pktmbuf_mtod(mbuf, const uint8_t*) + 6, 6);
  return_paths_.remember(packet.source.address, path, now_ms_);

  setup_.stats->services[service_id].packets_in++;
  setup_.stats->services[service_id].bytes_in += packet.ip_bytes;
  setup_.stats->backends[id].packets_in++;
  setup_.stats->backends[id].bytes_in += packet.ip_bytes;
  count(Counter::kFlowsStateless);
  to_backend(*mbuf, packet, service, backend);
  write_ethernet(*mbuf, packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send(backend.port_index, mbuf);
  return true;
}

bool Worker::pass_stateless_to_client(uint32_t i) noexcept {
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  const channel::BackendId id = state_.find_backend(packet.source);
  if (id == channel::kNoBackend) return false;
  const Backend& backend = state_.backend(id);
  const channel::ServiceId service_id = backend.sole_service;
  if (service_id == channel::kNoService || !is_stateless(service_id, backend)) return false;
  const ReturnPath* path = return_paths_.find(packet.destination.address, now_ms_);
  if (path == nullptr) return false;  // one of our own addresses, or a client that has to speak again first
  const Service& service = state_.service(service_id);
  if (hop_limit(*mbuf, packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired), true;
  const uint16_t mtu = setup_.port[path->port].mtu;
  if (packet.ip_bytes > mtu) return answer_too_big(i, mtu), true;
  if ((packet.tcp_flags & kTcpSyn) != 0) clamp_mss(*mbuf, packet, service.mss);

  setup_.stats->services[service_id].packets_out++;
  setup_.stats->services[service_id].bytes_out += packet.ip_bytes;
  setup_.stats->backends[id].packets_out++;
  setup_.stats->backends[id].bytes_out += packet.ip_bytes;
  count(Counter::kFlowsStateless);
  to_client(*mbuf, packet, service, backend);
  write_ethernet(*mbuf, packet, path->mac, mac_word_[path->port], path->vlan);
  send(path->port, mbuf);
  return true;
}

}  // namespace sluice
