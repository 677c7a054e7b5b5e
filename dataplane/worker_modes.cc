// SPDX-License-Identifier: Apache-2.0
//
// Forwarding other than nat. fullnat gives a flow an endpoint of ours towards its backend, under which replies find it.
// dsr and the tunnels leave the client's packet as it is and see only the client's half of a connection.
#include <cstring>

#include "dataplane/count_packet.h"
#include "dataplane/encapsulate.h"
#include "dataplane/local_ports.h"
#include "dataplane/mss.h"
#include "dataplane/tcp_track.h"
#include "dataplane/translate.h"
#include "dataplane/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kLocalPortProbes = 24;
constexpr uint32_t kMostSharing = 8;        // flows, each to another backend, with one local port
constexpr uint32_t kReuseAfterMs = 60'000;  // of a closed flow's port: as long as a server's TIME_WAIT in Linux

}  // namespace

FlowPlace Worker::place_of_reply(const Packet& packet) const noexcept {
  if (has_fullnat_ && is_local_port(packet.destination.port)) {
    const uint32_t local = state_.find_local(packet.destination.address);
    if (local != channel::kMaxLocals) {
      return flows_.place(flows_.hash_local(static_cast<uint8_t>(local), packet.destination.port));
    }
  }
  return flows_.place(flows_.hash(packet.destination));
}

FlowIndex Worker::find_reply_flow(const Packet& packet) const noexcept {
  return find_from_backend(place_of_reply(packet), packet);
}

Endpoint Worker::client_at_backend(const Flow& flow) const noexcept {
  if (flow.forwarding() != channel::Forwarding::kFullnat) return flow.client_endpoint();
  return {state_.local(flow.local_index()).address, flow.local_port};
}

Endpoint Worker::service_at_backend(const Flow& flow) const noexcept {
  return sees_both_ways(flow) ? state_.backend(flow.backend).endpoint : state_.service(flow.service).vip;
}

bool Worker::prepare_mode(FlowIndex index, channel::Forwarding forwarding, LocalPort local) noexcept {
  Flow& flow = flows_[index];
  flow.flags |= kFlowSpecial;
  flow.set_mode(forwarding, local.index);
  flow.local_port = local.port;
  if (!sees_both_ways(flow)) flow.smtp_phase = static_cast<uint8_t>(SmtpPhase::kOff);
  if (forwarding != channel::Forwarding::kFullnat) return true;
  has_fullnat_ = true;
  if (flows_.index_local(index)) return true;
  flows_.erase(index);
  return false;
}

bool Worker::may_reuse(const Flow& flow) const noexcept {
  if (flow.state != TcpState::kClosed) return false;
  const uint32_t left_ms = flow.deadline_ms - static_cast<uint32_t>(now_ms_);
  return static_cast<int32_t>(left_ms + kReuseAfterMs - setup_.timers.closing_ms) <= 0;
}

LocalPort Worker::take_local_port(const Backend& backend) noexcept {
  const auto locals = state_.locals_at(backend.port_index, backend.endpoint.address.is_v4());
  const uint32_t ports = local_ports_of(setup_.index, setup_.workers);
  const auto choices = static_cast<uint32_t>(locals.size()) * ports;
  LocalPort shared;
  uint32_t shared_by = kMostSharing;
  FlowIndex unfinished = kNoFlow;
  // Drawn at random (RFC 6056 section 3.3.1): what is taken does not lie in rows, so few draws find what is free.
  for (uint32_t probe = 0; probe < kLocalPortProbes && choices != 0; probe++) {
    const uint32_t n = draw(choices);
    const LocalPort candidate{locals[n / ports], local_port(n % ports, setup_.index, setup_.workers)};
    uint32_t sharing = 0;
    const FlowPlace place = flows_.place(flows_.hash_local(candidate.index, candidate.port));
    const FlowIndex other = flows_.find(place, [&](const Flow& flow) {
      const bool is_there = flow.forwarding() == channel::Forwarding::kFullnat &&
                            flow.local_index() == candidate.index && flow.local_port == candidate.port;
      sharing += is_there ? 1 : 0;
      return is_there && state_.backend(flow.backend).endpoint == backend.endpoint;
    });
    if (other != kNoFlow && may_reuse(flows_[other])) {
      forget(other);
      return candidate;
    }
    if (other != kNoFlow) {
      const TcpState state = flows_[other].state;
      if (state == TcpState::kSynSent || state == TcpState::kSynReceived) unfinished = other;
    } else if (sharing == 0) {
      return candidate;
    } else if (sharing < shared_by) {
      shared = candidate;
      shared_by = sharing;
    }
  }
  if (shared.port.raw != 0 || unfinished == kNoFlow) return shared;
  // A flood of handshakes may take all ports: one of them is given up, and the backend told.
  const LocalPort freed{flows_[unfinished].local_index(), flows_[unfinished].local_port};
  reset_to_backend(flows_[unfinished]);
  forget(unfinished);
  count(Counter::kFlowsRecycledEmbryonic);
  return freed;
}

void Worker::translate_to_backend(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept {
  const Backend& backend = state_.backend(flow.backend);
  if (flow.forwarding() == channel::Forwarding::kNat) {
    return to_backend(mbuf, packet, state_.service(flow.service), backend);
  }
  rewrite_both(mbuf, packet, client_at_backend(flow), backend.endpoint);
}

void Worker::translate_to_client(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept {
  const Service& service = state_.service(flow.service);
  if (flow.forwarding() == channel::Forwarding::kNat) {
    return to_client(mbuf, packet, service, state_.backend(flow.backend));
  }
  rewrite_both(mbuf, packet, service.vip, flow.client_endpoint());
}

uint32_t Worker::overhead_to(const Flow& flow) const noexcept {
  if (!is_tunnelled(flow)) return 0;
  const bool outer_v6 = !state_.backend(flow.backend).endpoint.address.is_v4();
  return tunnel_overhead(flow.forwarding() == channel::Forwarding::kGue, outer_v6);
}

void Worker::track_lone_client(Flow& flow, const Packet& packet) noexcept {
  const bool first_ack = flow.state == TcpState::kSynSent;
  const TcpState next = after_lone_client_segment(flow, packet);
  if (next != flow.state) set_state(flow, next);
  if ((packet.tcp_flags & kTcpSyn) != 0) {
    flow.client_next = packet.sequence + 1;
  } else {
    flow.client_next = advance(flow.client_next, packet);
    const bool is_newer = packet.ack - flow.server_next < kBelievable;
    if ((packet.tcp_flags & kTcpAck) != 0 && (first_ack || is_newer)) flow.server_next = packet.ack;
  }
  if (!is_embryonic(flow.state)) add_saturating(flow.bytes_up, packet.payload_bytes);
  flow.deadline_ms = static_cast<uint32_t>(now_ms_) + timeout_ms_[static_cast<size_t>(flow.state)];
}

void Worker::forward_one_way(uint32_t i) noexcept {
  Flow& flow = flows_[burst_.flow[i]];
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  const uint32_t overhead = overhead_to(flow);
  const uint16_t mtu = setup_.port[state_.backend(flow.backend).port_index].mtu;
  if (packet.ip_bytes + overhead > mtu) return answer_too_big(i, static_cast<uint16_t>(mtu - overhead));
  if ((packet.tcp_flags & kTcpSyn) != 0 && overhead != 0) {
    clamp_mss(*mbuf, packet, tunnel_mss(mtu, overhead, packet.v6));
  }
  track_lone_client(flow, packet);
  learn_return_path(flow, i);
  count_towards_backend(*setup_.stats, flow, packet.ip_bytes);
  send_one_way(mbuf, packet, flow);
}

bool Worker::wrap(rte_mbuf& mbuf, Packet& packet, const Flow& flow) noexcept {
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

void Worker::send_one_way(rte_mbuf* mbuf, Packet& packet, const Flow& flow) noexcept {
  take_hop(*mbuf, packet);
  if (!wrap(*mbuf, packet, flow)) return drop(mbuf, Counter::kDropNoLocalPort);
  const Backend& backend = state_.backend(flow.backend);
  write_ethernet(*mbuf, packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send(backend.port_index, mbuf);
}

void Worker::send_reset_through_tunnel(const Flow& flow, MadeSegment reset) noexcept {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(setup_.pool);
  if (mbuf == nullptr) return count(Counter::kDropMade);
  const Backend& backend = state_.backend(flow.backend);
  reset.vlan = 0;
  write_segment(*mbuf, reset);
  Packet packet{};
  packet.v6 = !reset.source.address.is_v4();
  packet.l3_offset = kEthernetBytes;
  packet.l4_offset = static_cast<uint16_t>(kEthernetBytes + (packet.v6 ? ipv6::kBytes : ipv4::kBytes));
  packet.ip_bytes = static_cast<uint16_t>(mbuf->pkt_len - kEthernetBytes);
  if (!wrap(*mbuf, packet, flow)) {
    rte_pktmbuf_free(mbuf);
    return count(Counter::kDropMade);
  }
  write_ethernet(*mbuf, packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send_made(backend.port_index, mbuf);
  count(Counter::kResetsToBackend);
  if (resets_left_ != 0) resets_left_--;
}

void Worker::pass_icmp_of_tunnel(Aside& aside) noexcept {
  rte_mbuf* mbuf = aside.mbuf;
  TunnelTooBig too_big;
  if (!read_tunnel_too_big(*mbuf, aside.packet, too_big)) return punt(aside.port, mbuf);
  Packet quoted{};
  quoted.source = too_big.inner.source;
  quoted.destination = too_big.inner.destination;
  quoted.l3_offset = too_big.inner.l3_offset;
  quoted.ip_bytes = static_cast<uint16_t>(aside.packet.l3_offset + aside.packet.ip_bytes - quoted.l3_offset);
  quoted.v6 = too_big.inner_v6;
  const FlowIndex index = find_from_client(flows_.place(flows_.hash(quoted.source)), quoted);
  if (index == kNoFlow && ask_next(aside.port, mbuf, aside.asker)) return;
  if (index == kNoFlow || !is_tunnelled(flows_[index])) return punt(aside.port, mbuf);
  const Flow& flow = flows_[index];
  const bool is_ours = state_.backend(flow.backend).endpoint.address == too_big.tunnel_destination &&
                       state_.find_local(aside.packet.destination.address) != channel::kMaxLocals;
  if (!is_ours) return punt(aside.port, mbuf);
  if (!believable_quote(flow.client_next, too_big.inner.sequence)) return drop(mbuf, Counter::kDropIcmp);
  quoted.vlan = flow.vlan_and_port & 0x0fff;
  rte_mbuf* answer = make_too_big(*mbuf, quoted, too_big.mtu);
  if (answer != nullptr) {
    const uint32_t out_port = flow.vlan_and_port >> 12;
    auto* ethernet = rte_pktmbuf_mtod(answer, uint8_t*);
    std::memcpy(ethernet, flow.client_mac.bytes.data(), 6);
    std::memcpy(ethernet + 6, setup_.port[out_port].mac.bytes.data(), 6);
    send_made(out_port, answer);
  }
  drop(mbuf, Counter::kDropTooBig);
}

}  // namespace sluice
