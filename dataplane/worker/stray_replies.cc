// SPDX-License-Identifier: Apache-2.0
//
// Packets of backends that belong to no flow, or to none of now: they are adopted, wait for another node's word, go to
// the node that waits for them, or are of no service.
#include "dataplane/flow/tcp_track.h"
#include "dataplane/worker/modes.h"
#include "dataplane/worker/new_flows.h"
#include "dataplane/worker/next_hop_check.h"

namespace sluice {
namespace {

/// A client's endpoint as the address under which it is kept: the port lies in bytes that are zero in IPv4's, and are
/// mixed into IPv6's.
Address stranger_key(const Endpoint& client) {
  Address out = client.address;
  out.bytes[0] ^= static_cast<uint8_t>(client.port.raw);
  out.bytes[1] ^= static_cast<uint8_t>(client.port.raw >> 8);
  return out;
}

}  // namespace

/// Whether a packet's source is a backend, and not only written there.
bool NewFlows::is_from_backend(const Burst& burst, uint32_t i) const noexcept {
  const channel::BackendId id = state_.find_backend(burst.packet[i].source);
  return id != channel::kNoBackend &&
         is_vouched_for(setup_.port[burst.port[i]].faces, *burst.mbuf[i], burst.packet[i], state_.backend(id));
}

/// A packet of a backend that belongs to no flow. What a session that an earlier process knew of brings is adopted: the
/// server may be the next to speak, and for ten minutes the only one (RFC 5321 section 4.5.3.2). Returns whether the
/// packet has been seen to, or has a flow now.
bool NewFlows::meet_reply(Burst& burst, uint32_t i) noexcept {
  const Packet& packet = burst.packet[i];
  const channel::BackendId id = state_.find_backend(packet.source);
  if (id == channel::kNoBackend) return false;
  const Resumption told = parts_.told.of_reply(packet);
  if (told.waits_for(packet)) return meet_awaited_elsewhere(burst, i), true;
  if (told) {
    const uint32_t worker = parts_.told.worker_of(packet, told);
    if (worker == setup_.index) {
      adopt_from_backend(burst, i, told, true);
    } else {
      parts_.handover.hand_over(worker, burst.port[i], burst.mbuf[i], {});
    }
    return true;
  }
  const bool to_nodes = parts_.told.is_to_nodes(packet);
  const bool resets = (packet.tcp_flags & kTcpRst) != 0;  // the kernel, too, answers it with nothing
  if (to_nodes ? resets : !may_be_reply(id, packet)) return false;
  const bool stranger = strangers_.find(stranger_key(packet.destination), clock_.now_ms()) != nullptr;
  if ((packet.tcp_flags & kTcpSyn) != 0) {
    // The SYN may have gone by another node, which is about to say so.
    if (!stranger && (packet.tcp_flags & kTcpAck) != 0 && parts_.held.hold(burst.port[i], burst.mbuf[i])) return true;
    // Of a connection that went to the backend itself, as a check's does.
    strangers_.remember(stranger_key(packet.destination), {}, clock_.now_ms());
    return false;
  }
  if (stranger) return false;
  const channel::ServiceId service = state_.backend(id).sole_service;
  if (!to_nodes && service != channel::kNoService && state_.service(service).in_use) {
    adopt_from_backend(burst, i, {.backend = id, .service = service, .client = packet.destination}, false);
  } else {
    egress_.drop(burst.mbuf[i], Counter::kDropNoFlow);
  }
  return true;
}

/// A backend's packet of a connection for which another node waits: its answer goes there. What else it says is said
/// sooner than that node could tell that both handshakes are over.
void NewFlows::meet_awaited_elsewhere(Burst& burst, uint32_t i) noexcept {
  rte_mbuf* mbuf = burst.mbuf[i];
  if (AnswerPassing::answers(burst.packet[i]) ? parts_.passing.pass(mbuf, burst.packet[i])
                                              : parts_.held.hold(burst.port[i], mbuf)) {
    return;
  }
  egress_.drop(mbuf, Counter::kDropNoFlow);
}

bool NewFlows::meet_next_session(Burst& burst, uint32_t i) noexcept {
  const Packet& packet = burst.packet[i];
  const Flow& flow = flows_[burst.flow[i]];
  if (!has_flags(packet, kTcpSyn | kTcpAck) || flow.state == TcpState::kSynSent) return false;
  if (parts_.told.of_reply(packet).waits_for(packet)) {
    parts_.lifecycle.give_way(burst.flow[i]);
    burst.flow[i] = kNoFlow;
    meet_awaited_elsewhere(burst, i);
    return true;
  }
  // A backend that has said more than that does not repeat it.
  const bool is_of_another = is_closing(flow.state) || (flow.state == TcpState::kEstablished && flow.bytes_down != 0);
  const Service& service = state_.service(flow.service);
  const bool may_be_asked =
      service.syn_proxy != channel::SynProxy::kOff || service.proxy != channel::ProxyHeader::kNone;
  if (!is_of_another || !may_be_asked || !parts_.held.hold(burst.port[i], burst.mbuf[i])) return false;
  burst.flow[i] = kNoFlow;
  return true;
}

/// Whether a backend's packet without a flow may be for the client of a service. If not, it is for us, or of a
/// connection to the backend itself.
bool NewFlows::may_be_reply(channel::BackendId id, const Packet& packet) const noexcept {
  const Address& to = packet.destination.address;
  if (state_.find_local(to) != channel::kMaxLocals) return false;
  if (setup_.own_addresses != nullptr && setup_.own_addresses->contains(to)) return false;
  const channel::ServiceId id_of_service = state_.backend(id).sole_service;
  if (id_of_service == channel::kNoService) return true;
  const Service& service = state_.service(id_of_service);
  return service.forwarding == channel::Forwarding::kNat && to.is_v4() == service.vip.address.is_v4();
}

/// The kernel would pass the packet on from an address that the client does not know, and the client's answer to that
/// would end the session: what cannot be adopted is dropped.
void NewFlows::adopt_from_backend(Burst& burst, uint32_t i, const Resumption& as, bool told) noexcept {
  const Packet& packet = burst.packet[i];
  const Backend& backend = state_.backend(as.backend);
  const std::optional<ReturnPath> path = setup_.routers->towards(as.client.address.is_v4());
  const FlowPlace place = flows_.place(flows_.hash(as.client));
  FlowIndex other =
      flows_.find(place, [&](const Flow& flow) { return flow.is_of(as.client) && flow.service == as.service; });
  const bool speaks = (packet.tcp_flags & (kTcpAck | kTcpRst)) == kTcpAck;
  if (!speaks || !path) return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow);
  if (told && other != kNoFlow && parts_.told.gives_way(flows_[other], packet, as)) {
    parts_.lifecycle.forget(other);
    other = kNoFlow;
  }
  if (other != kNoFlow) return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow);
  if (!told && !take_adoption()) return egress_.drop(burst.mbuf[i], Counter::kDropAdoptQuota);
  Flow filled{};
  filled.client = as.client.address;
  filled.client_port = as.client.port;
  filled.service = as.service;
  filled.backend = as.backend;
  filled.backend_generation = backend.generation;
  filled.deadline_ms = clock_.deadline_ms(TcpState::kAdopted, state_.service(as.service).idle_timeout_ms);
  filled.server_next = packet.sequence;
  filled.client_mac = path->mac;
  filled.vlan_and_port = static_cast<uint16_t>(path->vlan | path->port << 12);
  Counter refusal = Counter::kDropTableFull;
  const FlowIndex index = parts_.maker.make(place, filled, refusal, as.local);
  if (index == kNoFlow) {
    if (told && flows_.available() == 0) parts_.room.keep();  // for when the server sends it again
    return egress_.drop(burst.mbuf[i], refusal);
  }
  Flow& flow = flows_[index];
  parts_.proxy.prepare(flow, false);
  if (told) resume(index, as);
  flow.client_next = packet.ack - flow.proxy_bytes;
  flow.server_next += flows_.server_shift(flow);
  parts_.lifecycle.begin(index, false, told ? channel::PlacedBy::kPeer : channel::PlacedBy::kAdopted);
  if (told) parts_.lifecycle.tell(index);  // where the client's packets go, the server's answer is waited for
  burst.flow[i] = index;
}

}  // namespace sluice
