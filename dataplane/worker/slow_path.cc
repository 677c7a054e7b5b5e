// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/slow_path.h"

#include <algorithm>

#include "dataplane/flow/translate.h"
#include "dataplane/packet/fast_open.h"
#include "dataplane/packet/mss.h"
#include "dataplane/packet/renumber.h"
#include "dataplane/worker/modes.h"
#include "dataplane/worker/next_hop_check.h"
#include "dataplane/worker/return_path.h"

namespace sluice {
namespace {

constexpr uint8_t kNotOrdinary = kFlowCut | kFlowSpecial;

uint8_t* tcp_header(rte_mbuf& mbuf, const Packet& packet) {
  return rte_pktmbuf_mtod(&mbuf, uint8_t*) + packet.l4_offset;
}

}  // namespace

void SlowPath::confirm_flow(Burst& burst, uint32_t i) noexcept {
  const Packet& packet = burst.packet[i];
  FlowIndex& flow = burst.flow[i];
  // An earlier packet of this burst may have ended it, and begun another in its stead.
  const bool is_there = flow != kNoFlow && flows_[flow].state != TcpState::kFree;
  if (burst.from_client[i]) {
    if (!is_there || !parts_.finder.is_from_client(flows_[flow], packet)) {
      flow = parts_.finder.from_client(burst.place[i], packet);
    }
  } else if (!is_there || !parts_.finder.is_from_backend(flows_[flow], packet)) {
    flow = parts_.finder.from_backend(burst.place[i], packet);
  }
}

bool SlowPath::may_go_to_backend(Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  const Flow& flow = flows_[index];
  rte_mbuf* mbuf = burst.mbuf[i];
  if (flow.state == TcpState::kFree) return egress_.drop(mbuf, Counter::kDropNoFlow), false;
  if ((flow.flags & kFlowCut) != 0) {
    if (!parts_.farewell.goes_on(burst, i)) parts_.resets.answer(burst, i, Counter::kDropReset);
    return false;
  }
  if (state_.is_lost(flow)) {
    if (flow.state == TcpState::kSynSent) {  // its SYN will come again, and find another backend
      parts_.lifecycle.forget(index);
      return egress_.drop(mbuf, Counter::kDropBackendDown), false;
    }
    parts_.lifecycle.cut(index, Counter::kFlowsCutDown);
    return parts_.resets.answer(burst, i, Counter::kDropBackendDown), false;
  }
  if ((state_.backend(flow.backend).flags & channel::kBackendReachable) == 0) {
    return egress_.drop(mbuf, Counter::kDropBackendUnreachable), false;
  }
  return !parts_.farewell.is_leaving(flow) || !parts_.farewell.tell(burst, i);
}

/// A client's segment whose flow may have been answered at another node. Where that was by another server, it gets
/// another flow. Returns whether it has one.
bool SlowPath::follow_answer(Burst& burst, uint32_t i) noexcept {
  const Packet& packet = burst.packet[i];
  const bool answers = (packet.tcp_flags & (kTcpSyn | kTcpRst | kTcpAck)) == kTcpAck;
  if (!answers || parts_.told.meet_unanswered(flows_[burst.flow[i]], packet, burst.place[i])) return true;
  parts_.lifecycle.forget(burst.flow[i]);
  burst.flow[i] = kNoFlow;
  parts_.new_flows.place_if_new(burst, i);
  return burst.flow[i] != kNoFlow;
}

void SlowPath::translate_from_client(Burst& burst, uint32_t i) noexcept {
  Flow& flow = flows_[burst.flow[i]];
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  const Backend& backend = state_.backend(flow.backend);
  if (flow.spliced && flow.state == TcpState::kSynSent) [[unlikely]]
    return meet_waiting_client(burst, i);
  const bool ordinary =
      backend.is_serving(flow.backend_generation) && flow.state != TcpState::kFree && (flow.flags & kNotOrdinary) == 0;
  if (!ordinary && !may_go_to_backend(burst, i)) return;
  if (hop_limit(*mbuf, packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired);
  const uint16_t mtu = egress_.mtu(backend.port_index);
  if (packet.ip_bytes > mtu) [[unlikely]]
    return parts_.icmp_errors.answer_too_big(burst, i, mtu);
  if ((packet.tcp_flags & kTcpSyn) != 0) [[unlikely]] {
    clamp_mss(*mbuf, packet, state_.service(flow.service).mss);
    if (sees_both_ways(flow) && parts_.proxy.wants_header(flow)) strip_fast_open(*mbuf, packet);
  }
  if ((flow.flags & kFlowSpecial) != 0) [[unlikely]]
    return translate_special_from_client(burst, i);

  const uint32_t expected = flow.client_next;
  if (parts_.tracker.client_segment(flow, packet, *mbuf)) [[likely]] {
    parts_.watch.client_segment(burst, i, flow, expected);
    learn_return_path(burst, i, flow);
  }

  counters_.packet_to_backend(flow, packet.ip_bytes);
  to_backend(*mbuf, packet, state_.service(flow.service), backend);
  write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send(backend.port_index, mbuf);
}

void SlowPath::translate_from_backend(Burst& burst, uint32_t i) noexcept {
  Flow& flow = flows_[burst.flow[i]];
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  const Backend& backend = state_.backend(flow.backend);
  if (!is_vouched_for(setup_.port[burst.port[i]].faces, *mbuf, packet, backend)) {
    return egress_.drop(mbuf, Counter::kDropNotNextHop);
  }
  if ((packet.tcp_flags & kTcpSyn) != 0 && parts_.new_flows.meet_next_session(burst, i)) [[unlikely]]
    return;
  if (!backend.is_serving(flow.backend_generation) && !state_.is_current(flow)) {
    return egress_.drop(mbuf, Counter::kDropNoFlow);
  }
  if (flow.state == TcpState::kFree) return egress_.drop(mbuf, Counter::kDropNoFlow);
  if ((flow.flags & kFlowCut) != 0) return parts_.resets.answer(burst, i, Counter::kDropReset);
  if (hop_limit(*mbuf, packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  const uint16_t mtu = egress_.mtu(out_port);
  if (packet.ip_bytes > mtu) [[unlikely]]
    return parts_.icmp_errors.answer_too_big(burst, i, mtu);
  if ((packet.tcp_flags & kTcpSyn) != 0) [[unlikely]] {
    parts_.syn_proxy.learn(flow.service, *mbuf, packet);
    clamp_mss(*mbuf, packet, state_.service(flow.service).mss);
  }
  if ((flow.flags & kFlowSpecial) != 0) [[unlikely]]
    return translate_special_from_backend(burst, i);

  const uint32_t expected = flow.server_next;
  if (parts_.tracker.server_segment(flow, packet, *mbuf)) [[likely]]
    parts_.watch.backend_segment(burst, i, flow, expected);
  counters_.packet_to_client(flow, packet.ip_bytes);
  to_client(*mbuf, packet, state_.service(flow.service), backend);
  write_ethernet(*mbuf, packet, flow.client_mac, egress_.mac_word(out_port), flow.vlan_and_port & 0x0fff);
  egress_.send(out_port, mbuf);
}

void SlowPath::translate_special_from_client(Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  Flow& flow = flows_[index];
  if (!sees_both_ways(flow)) return forward_one_way(burst, i);
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  if (parts_.proxy.is_before_header(flow, packet)) return egress_.drop(mbuf, Counter::kDropProxyPending);
  const uint32_t entry = parts_.proxy.entry_of(flow);
  const TcpState before = flow.state;
  const bool may_complete = parts_.proxy.wants_header(flow) && before == TcpState::kSynReceived;
  if (may_complete) parts_.proxy.announce(flow);
  const uint32_t expected = flow.client_next;
  if (parts_.tracker.client_segment(flow, packet, *mbuf)) [[likely]] {
    parts_.watch.client_segment(burst, i, flow, expected);
    parts_.proxy.put_back(flow, entry, packet);
    learn_return_path(burst, i, flow);
  }
  const bool completes = may_complete && flow.state != before && flow.state != TcpState::kReset;
  if (may_complete && !completes) {
    flow.proxy_bytes = 0;
    // The server may believe what we do not, and would read it before the header.
    if (!opens_or_resets(packet)) return egress_.drop(mbuf, Counter::kDropProxyPending);
  }
  if (completes && !parts_.proxy.start(index, expected, ProxyInjector::client_ack(*mbuf, packet))) {
    parts_.lifecycle.cut(index, Counter::kFlowsCutProxy);
    return parts_.resets.answer(burst, i, Counter::kDropProxyPending);
  }
  counters_.packet_to_backend(flow, packet.ip_bytes);

  // A bare ACK of the client's first number goes before the header and so is not shifted; all else comes after it.
  const bool before_header = completes && packet.sequence == expected && packet.sequence_length() == 0;
  const bool header_first = completes && !before_header;
  if (header_first) parts_.proxy.send_header(flow);
  const Backend& backend = state_.backend(flow.backend);
  rewrite_to_backend(*mbuf, packet, flow);
  if ((packet.tcp_flags & kTcpSyn) == 0 && !before_header)
    renumber(tcp_header(*mbuf, packet), packet.tcp_header_bytes, flows_.numbers_for_backend(index));
  write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send(backend.port_index, mbuf);
  if (before_header) parts_.proxy.send_header(flow);
  if (completes) counters_.count(Counter::kProxyHeadersSent);
}

void SlowPath::translate_special_from_backend(Burst& burst, uint32_t i) noexcept {
  Flow& flow = flows_[burst.flow[i]];
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  if (flow.spliced) {
    if (flow.state == TcpState::kSynSent) return meet_answer(burst, i);
    packet.sequence += flows_.server_shift(flow);
    if (has_flags(packet, kTcpSyn | kTcpAck)) {  // what acknowledged it was lost
      const FlowIndex index = burst.flow[i];
      parts_.syn_proxy.acknowledge(index, parts_.syn_proxy.client_ack(index, *mbuf, packet, SynProxy::kWindowUnknown));
      counters_.count(Counter::kAnswered);
      return rte_pktmbuf_free(mbuf);
    }
    renumber(tcp_header(*mbuf, packet), packet.tcp_header_bytes, flows_.splice(burst.flow[i]).to_client());
  }
  const uint32_t expected = flow.server_next;
  if (parts_.tracker.server_segment(flow, packet, *mbuf)) [[likely]]
    parts_.watch.backend_segment(burst, i, flow, expected);
  counters_.packet_to_client(flow, packet.ip_bytes);
  parts_.proxy.shift_to_client(*mbuf, packet, flow);
  rewrite_to_client(*mbuf, packet, flow);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  write_ethernet(*mbuf, packet, flow.client_mac, egress_.mac_word(out_port), flow.vlan_and_port & 0x0fff);
  egress_.send(out_port, mbuf);
}

/// A client whose backend has not answered yet: its window is closed, so it has nothing to say but that it goes.
void SlowPath::meet_waiting_client(Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  const Flow& flow = flows_[index];
  const Packet& packet = burst.packet[i];
  if ((packet.tcp_flags & kTcpRst) != 0 && packet.sequence == flow.client_next) {
    parts_.resets.to_backend(flow);
    parts_.lifecycle.forget(index);
  }
  egress_.drop(burst.mbuf[i], Counter::kDropSynProxyPending);
}

/// What a backend says that was asked for such a client.
void SlowPath::meet_answer(Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  const Flow& flow = flows_[index];
  const Packet& packet = burst.packet[i];
  const bool refused = (packet.tcp_flags & kTcpRst) != 0;
  if (!acknowledges_syn(flow, packet) || (!refused && (packet.tcp_flags & kTcpSyn) == 0)) {
    counters_.count(Counter::kSegmentsNotBelieved);
    return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow);
  }
  if (!refused) return complete_splice(burst, i);
  counters_.count(Counter::kAnswered);
  rte_pktmbuf_free(burst.mbuf[i]);
  parts_.proven.ask_another(index, Counter::kDropReset);
}

/// The backend's SYN-ACK: with it both handshakes are over. The client's ACK has been here before.
void SlowPath::complete_splice(Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  Flow& flow = flows_[index];
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  const uint16_t window = parts_.syn_proxy.splice(index, *mbuf, packet);
  const uint8_t scale = flow.window_scale();
  const uint32_t server_expected = flow.server_next;
  parts_.tracker.server_segment(flow, packet, *mbuf);
  parts_.watch.backend_segment(burst, i, flow, server_expected);
  flow.set_window_scale(std::max(scale, flow.window_scale()));

  if (parts_.proxy.wants_header(flow)) parts_.proxy.announce(flow);
  const Packet syn_ack = packet;
  packet = parts_.syn_proxy.acknowledging(flow, syn_ack);
  const uint32_t client_expected = flow.client_next;
  parts_.tracker.client_segment(flow, packet, *mbuf);
  parts_.watch.client_segment(burst, i, flow, client_expected);
  packet = syn_ack;

  counters_.packet_to_client(flow, packet.ip_bytes);
  const ProxyInjector::ClientAck ack = parts_.syn_proxy.client_ack(index, *mbuf, packet, window);
  if (!parts_.proxy.wants_header(flow)) {
    parts_.syn_proxy.acknowledge(index, ack);
  } else if (parts_.proxy.start(index, client_expected, ack)) {
    parts_.proxy.send_header(flow);
    counters_.count(Counter::kProxyHeadersSent);
  } else {
    parts_.lifecycle.cut(index, Counter::kFlowsCutProxy);
    return egress_.drop(mbuf, Counter::kDropProxyPending);
  }
  parts_.syn_proxy.open_window(index, *mbuf, packet);
  egress_.send(flow.vlan_and_port >> 12, mbuf);
}

void SlowPath::forward_one_way(Burst& burst, uint32_t i) noexcept {
  Flow& flow = flows_[burst.flow[i]];
  Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  const uint32_t overhead = overhead_to_backend(state_, flow);
  const uint16_t mtu = egress_.mtu(state_.backend(flow.backend).port_index);
  if (packet.ip_bytes + overhead > mtu) {
    return parts_.icmp_errors.answer_too_big(burst, i, static_cast<uint16_t>(mtu - overhead));
  }
  if ((packet.tcp_flags & kTcpSyn) != 0 && overhead != 0) {
    clamp_mss(*mbuf, packet, tunnel_mss(mtu, overhead, packet.v6));
  }
  if (parts_.tracker.lone_client_segment(flow, packet)) [[likely]]
    learn_return_path(burst, i, flow);
  counters_.packet_to_backend(flow, packet.ip_bytes);
  parts_.one_way.send(mbuf, packet, flow);
}

void SlowPath::rewrite_to_backend(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept {
  const Backend& backend = state_.backend(flow.backend);
  if (flow.forwarding() == channel::Forwarding::kNat) {
    return to_backend(mbuf, packet, state_.service(flow.service), backend);
  }
  rewrite_both(mbuf, packet, client_at_backend(state_, flow), backend.endpoint);
}

void SlowPath::rewrite_to_client(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept {
  const Service& service = state_.service(flow.service);
  if (flow.forwarding() == channel::Forwarding::kNat) {
    return to_client(mbuf, packet, service, state_.backend(flow.backend));
  }
  rewrite_both(mbuf, packet, service.vip, flow.client_endpoint());
}

}  // namespace sluice
