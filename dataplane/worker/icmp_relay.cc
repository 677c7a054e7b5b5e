// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/icmp_relay.h"

#include <cstring>

#include "dataplane/flow/translate.h"
#include "dataplane/worker/modes.h"
#include "dataplane/worker/ownership.h"

namespace sluice {
namespace {

// Of a server that is not seen, what the client has acknowledged is known, not what is in flight.
constexpr uint32_t kUnseenInFlight = 1U << 22;

/// A segment that would come the way of the error.
Packet answering_segment(const IcmpError& error) {
  Packet answer{};
  answer.source = error.destination;
  answer.destination = error.source;
  answer.tcp_flags = kTcpAck;
  answer.v6 = !error.source.address.is_v4();
  return answer;
}

/// What there is to be known of a flow of another node, but for its mode and the way back.
Flow flow_of(const Resumption& told) {
  Flow out{};
  out.client = told.client.address;
  out.client_port = told.client.port;
  out.service = told.service;
  out.backend = told.backend;
  out.proxy_bytes = told.proxy_bytes;
  out.local_port = told.local.port;
  return out;
}

uint32_t shift_of(const Resumption& told) {
  return told.splice ? told.splice->sequence : 0;
}

}  // namespace

void IcmpRelay::pass(ExceptionFrame& frame) noexcept {
  IcmpError error;
  if (!read_icmp_error(*frame.mbuf, frame.packet, error)) return pass_of_tunnel(frame);
  // What it quotes was sent by the balancer: by a VIP to a client, or by a client to a backend.
  if (state_.find_service(error.source) != channel::kNoService) return pass_to_backend(frame, error);
  if (setup_.port[frame.port].faces != Faces::kClients) return pass_to_client(frame, error);
  punt_.punt(frame.port, frame.mbuf);
}

bool IcmpRelay::may_pass_absent(const ExceptionFrame& frame) noexcept {
  return absent_.take(source_name(frame.packet.source.address, 0, setup_.hash_seed), clock_.now_ms());
}

/// There are no numbers to hold the quote against: the backend, which has them, believes it or not (RFC 5927 section
/// 4). False if nothing has been done.
bool IcmpRelay::pass_without_flow(ExceptionFrame& frame, const IcmpError& error) noexcept {
  const Packet answer = answering_segment(error);
  const channel::ServiceId id = state_.find_service(error.source);
  const Service& service = state_.service(id);
  if (!state_.has_snapshot()) return false;
  const FlowPlace place = flows_.place(flows_.hash(answer.source));
  Resumption told = told_.of_client(answer, id, place);
  // A backend of fullnat knows an endpoint of the node's own; and behind a header not known the quoted numbers differ.
  const bool by_hash =
      service.forwarding != channel::Forwarding::kFullnat && service.proxy == channel::ProxyHeader::kNone;
  if (!told && by_hash) {
    Counter refusal = Counter::kDropNoBackend;
    told = {.backend = placement_.choose(id, answer, place, false, refusal), .service = id, .client = answer.source};
  }
  if (!told) return false;
  if (!may_pass_absent(frame)) return egress_.drop(frame.mbuf, Counter::kDropIcmp), true;
  Flow flow = flow_of(told);
  flow.set_mode(service.forwarding, told.local.index);
  send_to_backend(frame, error, flow, shift_of(told));
  return true;
}

/// Likewise of a backend, whose client believes it or not.
bool IcmpRelay::pass_to_client_without_flow(ExceptionFrame& frame, const IcmpError& error) noexcept {
  const Resumption told = told_.of_reply(answering_segment(error));
  const auto path = told ? setup_.routers->towards(told.client.address.is_v4()) : std::nullopt;
  if (!path) return false;
  if (!may_pass_absent(frame)) return egress_.drop(frame.mbuf, Counter::kDropIcmp), true;
  Flow flow = flow_of(told);
  flow.client_mac = path->mac;
  flow.vlan_and_port = static_cast<uint16_t>(path->vlan | path->port << 12);
  send_to_client(frame, error, flow, shift_of(told));
  return true;
}

void IcmpRelay::pass_to_backend(ExceptionFrame& frame, const IcmpError& error) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  const FlowIndex index = finder_.from_client(answering_segment(error));
  if (index == kNoFlow) {
    if (!pass_without_flow(frame, error)) punt_.punt(frame.port, mbuf);
    return;
  }
  const Flow& flow = flows_[index];
  if ((flow.flags & kFlowCut) != 0 || state_.is_lost(flow)) return egress_.drop(mbuf, Counter::kDropNoFlow);
  const uint32_t unseen = sees_both_ways(flow) ? 0 : kUnseenInFlight;
  if (!believable_quote(flow.server_next + unseen, error.sequence)) return egress_.drop(mbuf, Counter::kDropIcmp);
  send_to_backend(frame, error, flow, flows_.server_shift(flow));
}

void IcmpRelay::send_to_backend(ExceptionFrame& frame, const IcmpError& error, const Flow& flow,
                                uint32_t server_shift) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return egress_.drop(mbuf, Counter::kDropBackendUnreachable);
  if (hop_limit(*mbuf, frame.packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired);
  counters_.count(Counter::kIcmpPassedOn);
  if (!sees_both_ways(flow)) return one_way_.send(mbuf, frame.packet, flow);
  // A backend of fullnat need not have a way to anybody but us.
  const bool by_local = flow.forwarding() == channel::Forwarding::kFullnat;
  const Endpoint client = client_at_backend(state_, flow);
  rewrite_icmp_error(*mbuf, frame.packet, error,
                     {.source = by_local ? client.address : frame.packet.source.address,
                      .quoted_source = backend.endpoint,
                      .quoted_destination = client,
                      .sequence_shift = 0U - server_shift,
                      .ack_shift = flow.proxy_bytes});
  write_ethernet(*mbuf, frame.packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send(backend.port_index, mbuf);
}

void IcmpRelay::pass_to_client(ExceptionFrame& frame, const IcmpError& error) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  const FlowIndex index = finder_.from_backend(answering_segment(error));
  if (index == kNoFlow) {
    if (!pass_to_client_without_flow(frame, error)) punt_.punt(frame.port, mbuf);
    return;
  }
  const Flow& flow = flows_[index];
  if ((flow.flags & kFlowCut) != 0 || !state_.is_current(flow)) return egress_.drop(mbuf, Counter::kDropNoFlow);
  if (!believable_quote(flow.client_next + flow.proxy_bytes, error.sequence)) {
    return egress_.drop(mbuf, Counter::kDropIcmp);
  }
  send_to_client(frame, error, flow, flows_.server_shift(flow));
}

void IcmpRelay::send_to_client(ExceptionFrame& frame, const IcmpError& error, const Flow& flow,
                               uint32_t server_shift) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  if (hop_limit(*mbuf, frame.packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired);
  const Endpoint& vip = state_.service(flow.service).vip;
  const Address& sender = frame.packet.source.address;
  // The client knows nothing of the backend, but a router may speak in its own name.
  rewrite_icmp_error(*mbuf, frame.packet, error,
                     {.source = sender == error.destination.address ? vip.address : sender,
                      .quoted_source = flow.client_endpoint(),
                      .quoted_destination = vip,
                      .sequence_shift = 0U - flow.proxy_bytes,
                      .ack_shift = server_shift});
  counters_.count(Counter::kIcmpPassedOn);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  write_ethernet(*mbuf, frame.packet, flow.client_mac, egress_.mac_word(out_port), flow.vlan_and_port & 0x0fff);
  egress_.send(out_port, mbuf);
}

/// Hands an error about a tunnelled packet of `client` to its flow's owner. False if it is ours.
bool IcmpRelay::hand_over_of_tunnel(const ExceptionFrame& frame, const Endpoint& client) noexcept {
  const uint32_t owner = ownership_.of_client(client);
  if (owner == setup_.index) return false;
  handover_.hand_over(owner, frame.port, frame.mbuf, {Handed::kProcess, 0});
  return true;
}

/// "Too big" for a tunnel of ours: the client, whose packet is inside, is told what fits into it.
void IcmpRelay::pass_of_tunnel(ExceptionFrame& frame) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  TunnelTooBig too_big;
  if (!read_tunnel_too_big(*mbuf, frame.packet, too_big)) return punt_.punt(frame.port, mbuf);
  Packet quoted{};
  quoted.source = too_big.inner.source;
  quoted.destination = too_big.inner.destination;
  quoted.l3_offset = too_big.inner.l3_offset;
  quoted.ip_bytes = static_cast<uint16_t>(frame.packet.l3_offset + frame.packet.ip_bytes - quoted.l3_offset);
  quoted.v6 = too_big.inner_v6;
  const FlowIndex index = finder_.from_client(quoted);
  if (index == kNoFlow && hand_over_of_tunnel(frame, quoted.source)) return;
  if (index == kNoFlow || !is_tunnelled(flows_[index])) return punt_.punt(frame.port, mbuf);
  const Flow& flow = flows_[index];
  const bool is_ours = state_.backend(flow.backend).endpoint.address == too_big.tunnel_destination &&
                       state_.find_local(frame.packet.destination.address) != channel::kMaxLocals;
  if (!is_ours) return punt_.punt(frame.port, mbuf);
  if (!believable_quote(flow.client_next, too_big.inner.sequence)) return egress_.drop(mbuf, Counter::kDropIcmp);
  quoted.vlan = flow.vlan_and_port & 0x0fff;
  rte_mbuf* answer = icmp_errors_.make_too_big(*mbuf, quoted, too_big.mtu);
  if (answer != nullptr) {
    const uint32_t out_port = flow.vlan_and_port >> 12;
    auto* ethernet = rte_pktmbuf_mtod(answer, uint8_t*);
    std::memcpy(ethernet, flow.client_mac.bytes.data(), 6);
    std::memcpy(ethernet + 6, egress_.mac(out_port).bytes.data(), 6);
    egress_.send_made(out_port, answer);
  }
  egress_.drop(mbuf, Counter::kDropTooBig);
}

}  // namespace sluice
