// SPDX-License-Identifier: Apache-2.0
//
// What a worker does with frames that are not whole TCP segments: ICMP errors and fragments follow the flow that
// they belong to, what belongs to none goes to the kernel, what is broken is dropped. They wait until the segments
// received with them are dealt with, so that they neither overtake their flow nor slow down the others.
#include "dataplane/count_packet.h"
#include "dataplane/icmp.h"
#include "dataplane/translate.h"
#include "dataplane/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kUnseenInFlight = 1U << 22;

}  // namespace

bool Worker::put_aside(uint32_t port, rte_mbuf* mbuf, const Packet& packet, ParseVerdict verdict, bool mine,
                       uint32_t asker) noexcept {
  switch (verdict) {
    case ParseVerdict::kTcp:
    case ParseVerdict::kFirstFragment:
      return true;
    case ParseVerdict::kIcmp:
      if (!mine && hand_over_icmp(port, mbuf, packet)) break;
      [[fallthrough]];
    case ParseVerdict::kFragment:
      aside_[aside_count_++] = {packet, mbuf, static_cast<uint8_t>(port), verdict, static_cast<uint8_t>(asker)};
      break;
    case ParseVerdict::kOther:
    case ParseVerdict::kOtherHost:
    case ParseVerdict::kTruncated:
    case ParseVerdict::kMalformed:
      if (taps_.any()) {
        dispose_tapped(port, mbuf, verdict);
      } else {
        dispose(port, mbuf, verdict);
      }
      break;
  }
  return false;
}

void Worker::dispose(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept {
  if (verdict == ParseVerdict::kOther) return punt(port, mbuf);
  if (verdict == ParseVerdict::kOtherHost) return drop(mbuf, Counter::kDropOtherHost);
  drop(mbuf, verdict == ParseVerdict::kTruncated ? Counter::kDropTruncated : Counter::kDropMalformed);
}

void Worker::deal_with_asides() noexcept {
  for (uint32_t i = 0; i < aside_count_; i++) deal_with_aside(aside_[i]);
  aside_count_ = 0;
}

void Worker::deal_with_aside(Aside& aside) noexcept {
  if (aside.verdict == ParseVerdict::kIcmp) {
    pass_icmp(aside);
  } else {
    pass_fragment(aside);
  }
}

void Worker::pass_icmp(Aside& aside) noexcept {
  IcmpError error;
  if (!read_icmp_error(*aside.mbuf, aside.packet, error)) return pass_icmp_of_tunnel(aside);
  // What it quotes was sent by the balancer: by a VIP to a client, or by a client to a backend.
  if (state_.find_service(error.source) != channel::kNoService) return pass_icmp_to_backend(aside, error);
  if (setup_.port[aside.port].faces != Faces::kClients) return pass_icmp_to_client(aside, error);
  punt(aside.port, aside.mbuf);
}

void Worker::pass_icmp_to_backend(Aside& aside, const IcmpError& error) noexcept {
  rte_mbuf* mbuf = aside.mbuf;
  // The flow is found by a segment that would come the way of the error.
  Packet answer;
  answer.source = error.destination;
  answer.destination = error.source;
  const FlowIndex index = find_from_client(flows_.place(flows_.hash(answer.source)), answer);
  if (index == kNoFlow) {
    // Under RSS, devices do not know whose flow an error is about.
    if (setup_.spread == Spread::kRss && ask_next(aside.port, mbuf, aside.asker)) return;
    return punt(aside.port, mbuf);
  }
  const Flow& flow = flows_[index];
  if ((flow.flags & kFlowCut) != 0 || state_.is_lost(flow)) return drop(mbuf, Counter::kDropNoFlow);
  // Of a server that is not seen, what the client has acknowledged is known, not what is in flight.
  const uint32_t unseen = sees_both_ways(flow) ? 0 : kUnseenInFlight;
  if (!believable_quote(flow.server_next + unseen, error.sequence)) return drop(mbuf, Counter::kDropIcmp);
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return drop(mbuf, Counter::kDropBackendUnreachable);
  if (hop_limit(*mbuf, aside.packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);
  if (!sees_both_ways(flow)) {
    count(Counter::kIcmpPassedOn);
    return send_one_way(mbuf, aside.packet, flow);
  }
  // A backend of fullnat need not have a way to anybody but us.
  const bool by_local = flow.forwarding() == channel::Forwarding::kFullnat;
  const Endpoint client = client_at_backend(flow);
  rewrite_icmp_error(*mbuf, aside.packet, error,
                     {.source = by_local ? client.address : aside.packet.source.address,
                      .quoted_source = backend.endpoint,
                      .quoted_destination = client,
                      .sequence_shift = 0,
                      .ack_shift = flow.proxy_bytes});
  count(Counter::kIcmpPassedOn);
  write_ethernet(*mbuf, aside.packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send(backend.port_index, mbuf);
}

void Worker::pass_icmp_to_client(Aside& aside, const IcmpError& error) noexcept {
  rte_mbuf* mbuf = aside.mbuf;
  Packet answer;
  answer.source = error.destination;
  answer.destination = error.source;
  const FlowIndex index = find_reply_flow(answer);
  if (index == kNoFlow) {
    // Under RSS, devices do not know whose flow an error is about.
    if (setup_.spread == Spread::kRss && ask_next(aside.port, mbuf, aside.asker)) return;
    return punt(aside.port, mbuf);
  }
  const Flow& flow = flows_[index];
  if ((flow.flags & kFlowCut) != 0 || !state_.is_current(flow)) return drop(mbuf, Counter::kDropNoFlow);
  if (!believable_quote(flow.client_next + flow.proxy_bytes, error.sequence)) return drop(mbuf, Counter::kDropIcmp);
  if (hop_limit(*mbuf, aside.packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);
  const Endpoint& vip = state_.service(flow.service).vip;
  const Address& sender = aside.packet.source.address;
  // The client knows nothing of the backend, but a router may speak in its own name.
  rewrite_icmp_error(*mbuf, aside.packet, error,
                     {.source = sender == error.destination.address ? vip.address : sender,
                      .quoted_source = flow.client_endpoint(),
                      .quoted_destination = vip,
                      .sequence_shift = 0U - flow.proxy_bytes,
                      .ack_shift = 0});
  count(Counter::kIcmpPassedOn);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  write_ethernet(*mbuf, aside.packet, flow.client_mac, mac_word_[out_port], flow.vlan_and_port & 0x0fff);
  send(out_port, mbuf);
}

void Worker::pass_fragment(Aside& aside) noexcept {
  Packet& packet = aside.packet;
  rte_mbuf* mbuf = aside.mbuf;
  const Faces faces = setup_.port[aside.port].faces;
  const bool for_vip = state_.is_vip(packet.destination.address);
  if (!fragments_.complete(packet, fragment_offset_bytes(*mbuf, packet), now_ms_)) {
    if (ask_next(aside.port, mbuf, aside.asker)) return;
    // Behind a backends' port even a stranger's may be part of a flow.
    if (for_vip || faces == Faces::kBackends) return drop(mbuf, Counter::kDropFragment);
    return punt(aside.port, mbuf);
  }
  if (for_vip) {
    const FlowIndex index = find_from_client(flows_.place(flows_.hash(packet.source)), packet);
    if (index != kNoFlow) return pass_fragment_to_backend(aside, flows_[index]);
    return drop(mbuf, Counter::kDropFragment);
  }
  const FlowIndex index = find_reply_flow(packet);
  if (faces != Faces::kClients && index != kNoFlow) return pass_fragment_to_client(aside, flows_[index]);
  punt(aside.port, mbuf);
}

void Worker::pass_fragment_to_backend(Aside& aside, const Flow& flow) noexcept {
  rte_mbuf* mbuf = aside.mbuf;
  if ((flow.flags & kFlowCut) != 0) return drop(mbuf, Counter::kDropFragment);
  if (state_.is_lost(flow)) return drop(mbuf, Counter::kDropFragment);
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return drop(mbuf, Counter::kDropBackendUnreachable);
  if (hop_limit(*mbuf, aside.packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);
  if (aside.packet.ip_bytes + overhead_to(flow) > setup_.port[backend.port_index].mtu) {
    return drop(mbuf, Counter::kDropTooBig);
  }
  count_towards_backend(*setup_.stats, flow, aside.packet.ip_bytes);
  if (!sees_both_ways(flow)) return send_one_way(mbuf, aside.packet, flow);
  rewrite_fragment(*mbuf, aside.packet, client_at_backend(flow).address, backend.endpoint.address);
  write_ethernet(*mbuf, aside.packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send(backend.port_index, mbuf);
}

void Worker::pass_fragment_to_client(Aside& aside, const Flow& flow) noexcept {
  rte_mbuf* mbuf = aside.mbuf;
  const uint32_t out_port = flow.vlan_and_port >> 12;
  if ((flow.flags & kFlowCut) != 0 || !state_.is_current(flow)) return drop(mbuf, Counter::kDropFragment);
  if (hop_limit(*mbuf, aside.packet) <= 1) return drop(mbuf, Counter::kDropTtlExpired);
  if (aside.packet.ip_bytes > setup_.port[out_port].mtu) return drop(mbuf, Counter::kDropTooBig);
  count_towards_client(*setup_.stats, flow, aside.packet.ip_bytes);
  rewrite_fragment(*mbuf, aside.packet, state_.service(flow.service).vip.address, flow.client);
  write_ethernet(*mbuf, aside.packet, flow.client_mac, mac_word_[out_port], flow.vlan_and_port & 0x0fff);
  send(out_port, mbuf);
}

rte_mbuf* Worker::make_too_big(const rte_mbuf& mbuf, const Packet& packet, uint16_t mtu) noexcept {
  if (!icmp_tokens_.take(now_ms_)) return nullptr;
  rte_mbuf* answer = rte_pktmbuf_alloc(setup_.pool);
  if (answer == nullptr) {
    count(Counter::kDropMade);
    return nullptr;
  }
  write_too_big(*answer, mbuf, packet, mtu);
  count(Counter::kIcmpSent);
  return answer;
}

void Worker::answer_too_big(uint32_t i, uint16_t mtu) noexcept {
  rte_mbuf* answer = make_too_big(*burst_.mbuf[i], burst_.packet[i], mtu);
  if (answer != nullptr) send_made(burst_.port[i], answer);
  drop(burst_.mbuf[i], Counter::kDropTooBig);
}

}  // namespace sluice
