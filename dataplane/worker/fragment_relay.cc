// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/fragment_relay.h"

#include "dataplane/flow/translate.h"
#include "dataplane/worker/modes.h"

namespace sluice {

void FragmentRelay::meet_first(uint32_t port, const Packet& packet, FlowPlace place, bool from_client) noexcept {
  const FlowIndex index = from_client ? finder_.from_client(place, packet) : finder_.from_backend(place, packet);
  // Strangers among the clients get no place; the flow of one who comes in mid-stream is known at its next attempt.
  if (index != kNoFlow || setup_.port[port].faces != Faces::kClients) fragments_.remember(packet, clock_.now_ms());
}

void FragmentRelay::pass(ExceptionFrame& frame) noexcept {
  Packet& packet = frame.packet;
  rte_mbuf* mbuf = frame.mbuf;
  const Faces faces = setup_.port[frame.port].faces;
  const bool for_vip = state_.is_vip(packet.destination.address);
  if (!fragments_.complete(packet, fragment_offset_bytes(*mbuf, packet), clock_.now_ms())) {
    if (handover_.ask_next(frame.port, mbuf, frame.asker, packet.source.address)) return;
    // Behind a backends' port even a stranger's may be part of a flow.
    if (for_vip || faces == Faces::kBackends) return egress_.drop(mbuf, Counter::kDropFragment);
    return punt_.punt(frame.port, mbuf);
  }
  if (for_vip) {
    const FlowIndex index = finder_.from_client(packet);
    if (index != kNoFlow) return pass_to_backend(frame, flows_[index]);
    return egress_.drop(mbuf, Counter::kDropFragment);
  }
  const FlowIndex index = finder_.from_backend(packet);
  if (faces != Faces::kClients && index != kNoFlow) return pass_to_client(frame, flows_[index]);
  punt_.punt(frame.port, mbuf);
}

void FragmentRelay::pass_to_backend(ExceptionFrame& frame, const Flow& flow) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  if ((flow.flags & kFlowCut) != 0) return egress_.drop(mbuf, Counter::kDropFragment);
  if (state_.is_lost(flow)) return egress_.drop(mbuf, Counter::kDropFragment);
  const Backend& backend = state_.backend(flow.backend);
  if ((backend.flags & channel::kBackendReachable) == 0) return egress_.drop(mbuf, Counter::kDropBackendUnreachable);
  if (hop_limit(*mbuf, frame.packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired);
  if (frame.packet.ip_bytes + overhead_to_backend(state_, flow) > egress_.mtu(backend.port_index)) {
    return egress_.drop(mbuf, Counter::kDropTooBig);
  }
  counters_.packet_to_backend(flow, frame.packet.ip_bytes);
  if (!sees_both_ways(flow)) return one_way_.send(mbuf, frame.packet, flow);
  rewrite_fragment(*mbuf, frame.packet, client_at_backend(state_, flow).address, backend.endpoint.address);
  write_ethernet(*mbuf, frame.packet, backend.next_hop, egress_.mac_word(backend.port_index), backend.vlan);
  egress_.send(backend.port_index, mbuf);
}

void FragmentRelay::pass_to_client(ExceptionFrame& frame, const Flow& flow) noexcept {
  rte_mbuf* mbuf = frame.mbuf;
  const uint32_t out_port = flow.vlan_and_port >> 12;
  if ((flow.flags & kFlowCut) != 0 || !state_.is_current(flow)) return egress_.drop(mbuf, Counter::kDropFragment);
  if (hop_limit(*mbuf, frame.packet) <= 1) return egress_.drop(mbuf, Counter::kDropTtlExpired);
  if (frame.packet.ip_bytes > egress_.mtu(out_port)) return egress_.drop(mbuf, Counter::kDropTooBig);
  counters_.packet_to_client(flow, frame.packet.ip_bytes);
  rewrite_fragment(*mbuf, frame.packet, state_.service(flow.service).vip.address, flow.client);
  write_ethernet(*mbuf, frame.packet, flow.client_mac, egress_.mac_word(out_port), flow.vlan_and_port & 0x0fff);
  egress_.send(out_port, mbuf);
}

}  // namespace sluice
