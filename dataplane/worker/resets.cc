// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/resets.h"

#include "dataplane/flow/translate.h"
#include "dataplane/worker/own_segments.h"

namespace sluice {

void Resets::send(uint32_t port, const MadeSegment& reset, Counter counter) noexcept {
  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  write_segment(*mbuf, reset);
  egress_.send_made(port, mbuf);
  count_one(counter);
}

void Resets::to_client(const Flow& flow) noexcept {
  const uint32_t port = port_to_client(flow);
  if (port >= ports_) return;
  MadeSegment reset = segment_to_client(state_, egress_, flow);
  // A client that has not seen a SYN-ACK takes only a reset that acknowledges its SYN (RFC 9293 section 3.5.3).
  reset.flags = kTcpRst | kTcpAck;
  reset.sequence = flow.server_next;
  reset.ack = flow.client_next;
  send(port, reset, Counter::kResetsToClient);
}

void Resets::to_backend(const Flow& flow) noexcept {
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return;
  MadeSegment reset = segment_to_backend(state_, egress_, flow);
  reset.flags = kTcpRst | kTcpAck;
  reset.sequence = flow.client_next + flow.proxy_bytes;
  reset.ack = flow.server_next - flows_.server_shift(flow);
  if (is_tunnelled(flow)) return send_through_tunnel(flow, reset);
  send(backend.port_index, reset, Counter::kResetsToBackend);
}

void Resets::send_through_tunnel(const Flow& flow, MadeSegment reset) noexcept {
  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  const Backend& backend = state_.backend(flow.backend);
  reset.vlan = 0;
  write_segment(*mbuf, reset);
  Packet packet{};
  packet.v6 = !reset.source.address.is_v4();
  packet.l3_offset = kEthernetBytes;
  packet.l4_offset = static_cast<uint16_t>(kEthernetBytes + (packet.v6 ? ipv6::kBytes : ipv4::kBytes));
  packet.ip_bytes = static_cast<uint16_t>(mbuf->pkt_len - kEthernetBytes);
  if (!one_way_.wrap(*mbuf, packet, flow)) {
    rte_pktmbuf_free(mbuf);
    return counters_.count(Counter::kDropMade);
  }
  write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send_made(backend.port_index, mbuf);
  count_one(Counter::kResetsToBackend);
}

void Resets::answer(Burst& burst, uint32_t i, Counter reason) noexcept {
  const Packet& packet = burst.packet[i];
  if ((packet.tcp_flags & kTcpRst) != 0) return egress_.drop(burst.mbuf[i], reason);
  if (!answers_.take(clock_.now_ms())) {
    counters_.count(Counter::kResetsHeldBack);
    return egress_.drop(burst.mbuf[i], reason);
  }
  counters_.count(reason);
  counters_.count(burst.from_client[i] ? Counter::kResetsToClient : Counter::kResetsToBackend);
  const MadeSegment reset = reset_answering(*burst.mbuf[i], packet);
  write_segment(*burst.mbuf[i], reset);
  egress_.send_made(burst.port[i], burst.mbuf[i]);
}

}  // namespace sluice
