// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/new_flows.h"

#include <algorithm>

#include "dataplane/worker/bad_ends.h"
#include "dataplane/worker/modes.h"
#include "dataplane/worker/return_path.h"

namespace sluice {

void NewFlows::place(Burst& burst, uint32_t i) noexcept {
  const Packet& packet = burst.packet[i];
  FlowIndex& index = burst.flow[i];
  if (index != kNoFlow) {
    // A client may use a port again once its last connection is over (RFC 9293 section 3.6.1).
    const Flow& flow = flows_[index];
    const bool over = is_over(flow.state) || (flow.state == TcpState::kSynSent && state_.is_lost(flow));
    if (!over && !begins_anew(flow, packet, parts_.lifecycle.deadline_ms_of(flow))) return;
    const FlowIndex last = index;
    index = kNoFlow;
    // Who may begin no other ends none by trying.
    if (is_blocked(burst, i)) return egress_.drop(burst.mbuf[i], Counter::kDropPolicy);
    if (state_.sources().is_refused(packet.source.address)) return refuse(burst, i, flow.service, Counter::kDropPolicy);
    if (const auto action = parts_.limits.refuses(packet.source.address, flow.service)) {
      return refuse_over_limit(burst, i, flow.service, *action);
    }
    if (over) {
      parts_.lifecycle.forget(last);
    } else {
      parts_.lifecycle.give_way(last);
    }
  }
  const channel::ServiceId service = state_.find_service(packet.destination);
  if (service == channel::kNoService) return pass_stranger(burst, i);
  if (const auto reason = bad_ends(packet, state_)) return egress_.drop(burst.mbuf[i], *reason);
  // Which backends there are, and which are well, has yet to come.
  if (!state_.has_snapshot()) return egress_.drop(burst.mbuf[i], Counter::kDropNotReady);
  if (!burst.from_client[i]) {
    burst.from_client[i] = true;
    burst.place[i] = flows_.place(flows_.hash(packet.source));
  }
  // An earlier packet of this burst may have placed it; a SYN that we answer ourselves does not care.
  if (!is_opening(packet) || !parts_.syn_proxy.answers(state_.service(service)))
    index = parts_.finder.from_client(burst.place[i], packet);
  if (index == kNoFlow) place_one(burst, i, service);
}

/// Whether the source of packet `i` is blocked, and those of the SYNs behind it: what one look-up waits for from
/// memory, others wait for in the same time.
void NewFlows::ask_of_sources(Burst& burst, uint32_t i) noexcept {
  std::array<uint32_t, SourceRules::kAtOnce> which;
  std::array<const Address*, SourceRules::kAtOnce> sources;
  std::array<bool, SourceRules::kAtOnce> blocked;
  uint32_t n = 0;
  const uint32_t end = is_opening(burst.packet[i]) ? burst.count : i + 1;
  for (uint32_t next = i; next < end && n < SourceRules::kAtOnce; next++) {
    const Packet& packet = burst.packet[next];
    if (burst.source_asked.has(next) || !(next == i || is_opening(packet)) || packet.v6 != burst.packet[i].v6) continue;
    which[n] = next;
    sources[n++] = &packet.source.address;
  }
  state_.sources().are_blocked(std::span(sources).first(n), blocked);
  for (uint32_t k = 0; k < n; k++) {
    burst.source_asked.add(which[k]);
    if (blocked[k]) burst.source_blocked.add(which[k]);
  }
}

void NewFlows::pass_stranger(Burst& burst, uint32_t i) noexcept {
  const Endpoint& to = burst.packet[i].destination;
  if (!burst.from_client[i] && is_from_backend(burst, i) &&
      (parts_.stateless.to_client(burst, i) || meet_reply(burst, i))) {
    return;
  }
  // The kernel, which owns the VIPs' addresses, would refuse a connection that has only to wait a moment.
  const bool awaited =
      !state_.has_snapshot() && std::ranges::find(setup_.expected_vips, to) != setup_.expected_vips.end();
  if (awaited) return egress_.drop(burst.mbuf[i], Counter::kDropNotReady);
  parts_.punt.punt(burst.port[i], burst.mbuf[i]);
}

void NewFlows::place_one(Burst& burst, uint32_t i, channel::ServiceId service_id) noexcept {
  const Packet& packet = burst.packet[i];
  const bool opening = is_opening(packet);
  if (opening) {
    parts_.responder.forget(packet);
  } else if (parts_.responder.take(burst, i, service_id)) {
    return;
  } else if (const std::optional<ProvenClient> proven = parts_.syn_proxy.proven(burst, i)) {
    tell_of_router(burst, i);
    return parts_.proven.begin(burst, i, service_id, *proven);
  }
  // Without room, what is no SYN may be of a session that is open without an entry.
  if ((opening || flows_.available() != 0) && is_blocked(burst, i)) {
    if (opening) parts_.records.refuse(packet, service_id, Counter::kDropPolicy);
    return egress_.drop(burst.mbuf[i], Counter::kDropPolicy);
  }
  if (opening) {
    if (state_.sources().is_refused(packet.source.address)) return refuse(burst, i, service_id, Counter::kDropPolicy);
    const auto action = parts_.limits.refuses(packet.source.address, service_id);
    if (action) return refuse_over_limit(burst, i, service_id, *action);
    if (parts_.syn_proxy.answers(state_.service(service_id)) && state_.has_backends(service_id, packet.source.address))
      return parts_.syn_proxy.answer_syn(burst, i, service_id);
  }
  if (flows_.available() == 0) {
    if (!opening) return go_on_in_full_table(burst, i, service_id);
    parts_.room.keep();  // for those that come after this burst
    return meet_full_table(burst, i, service_id);
  }
  Counter refusal = Counter::kDropNoBackend;
  channel::BackendId backend_id = opening ? channel::kNoBackend : recall(burst, i, service_id);
  const bool recalled = backend_id != channel::kNoBackend;
  const Resumption told =
      opening || recalled ? Resumption{} : parts_.told.of_client(packet, service_id, burst.place[i]);
  if (told) {
    backend_id = told.backend;
  } else if (!opening && !recalled && !may_adopt(burst, i, service_id)) {
    return;
  }
  if (backend_id == channel::kNoBackend)
    backend_id = parts_.placement.choose(service_id, packet, burst.place[i], opening, refusal);
  if (backend_id == channel::kNoBackend) {
    // Its own server may be well, and only out of reach for a moment: any answer of ours would end the session.
    if (!opening && refusal != Counter::kDropBackendDown) return egress_.drop(burst.mbuf[i], refusal);
    return refuse(burst, i, service_id, opening ? refusal : Counter::kDropNoBackend);
  }
  // What is only led there gets no entry, which would hold it to a server that it may not be with.
  if (!opening && !told && !recalled && (state_.backend(backend_id).flags & channel::kBackendReachable) == 0)
    return egress_.drop(burst.mbuf[i], Counter::kDropBackendUnreachable);
  Flow filled{};
  filled.client = packet.source.address;
  filled.client_port = packet.source.port;
  filled.service = service_id;
  filled.backend = backend_id;
  filled.backend_generation = state_.backend(backend_id).generation;
  filled.deadline_ms = clock_.deadline_ms(TcpState::kSynSent);
  filled.client_next = packet.sequence;
  if (opening) {
    filled.client_next++;
  } else if (!recalled && sees_both_ways(state_.service(service_id).forwarding)) {
    filled.client_next += packet.sequence_length();
  }
  filled.server_next = packet.ack;
  Counter no_room = Counter::kDropTableFull;
  const FlowIndex index = parts_.maker.make(burst.place[i], filled, no_room, told.local);
  if (index == kNoFlow) {
    // What is in mid-session comes again.
    if (told || (!opening && sees_both_ways(state_.service(service_id).forwarding)))
      return egress_.drop(burst.mbuf[i], no_room);
    return no_room == Counter::kDropTableFull ? meet_full_table(burst, i, service_id)
                                              : refuse(burst, i, service_id, no_room);
  }
  Flow& flow = flows_[index];
  if (!opening) learn_return_path(burst, i, flow);  // the server may speak next, if it cannot be reached at the moment
  parts_.proxy.prepare(flow, opening || recalled);
  if (told) resume(index, told);
  const channel::PlacedBy rule = told ? channel::PlacedBy::kPeer : parts_.placement.rule();
  parts_.lifecycle.begin(index, opening, recalled ? channel::PlacedBy::kCount : rule);
  if (recalled) revive(flow);
  burst.flow[i] = index;
  tell_of_router(burst, i);
  if (refusal == Counter::kDropBackendCollision) counters_.count(Counter::kFlowsMovedByCollision);
}

/// The backend of a handshake whose flow had to give way, and which the packet finishes; else kNoBackend.
channel::BackendId NewFlows::recall(const Burst& burst, uint32_t i, channel::ServiceId service_id) noexcept {
  const channel::BackendId id = parts_.lifecycle.recall_handshake(service_id, burst.packet[i]);
  if (id == channel::kNoBackend) return id;
  return parts_.placement.may_keep(service_id, burst.packet[i], burst.place[i], id) ? id : channel::kNoBackend;
}

/// The flow is again what it was before its ACK came, which is tracked next.
void NewFlows::revive(Flow& flow) noexcept {
  parts_.lifecycle.set_state(flow, TcpState::kSynReceived);
  if (sees_both_ways(flow)) flow.smtp_phase = static_cast<uint8_t>(SmtpPhase::kAnswered);
}

/// An adopted flow is as another node has told it.
void NewFlows::resume(FlowIndex index, const Resumption& told) noexcept {
  Flow& flow = flows_[index];
  counters_.count(Counter::kFlowsResumed);
  if (told.splice) {
    flow.spliced = true;
    flow.flags |= kFlowSpecial;
    flows_.splice(index) = {.sequence = told.splice->sequence,
                            .timestamp = told.splice->timestamp,
                            .client_timestamp = 0,
                            .pending = Splice::kNotPending,
                            .client_scale = told.splice->client_scale & 0x0fU,
                            .server_scale = told.splice->server_scale & 0x0fU,
                            .mss_class = 0,
                            .sack = 0,
                            .timestamps = told.splice->timestamps ? 1U : 0U,
                            .moved = 0};
  }
  if (!told.open) return;  // its header may be on the way
  flow.proxy_bytes = told.proxy_bytes;
  if (told.proxy_bytes != 0) flow.flags |= kFlowSpecial;
}

/// Now and then is enough: the word is shared by all workers.
void NewFlows::tell_of_router(const Burst& burst, uint32_t i) noexcept {
  const Packet& packet = burst.packet[i];
  uint64_t& told_ms = router_told_ms_[packet.source.address.is_v4() ? 0 : 1];
  if (told_ms == clock_.now_ms()) return;
  told_ms = clock_.now_ms();
  ReturnPath path{.vlan = packet.vlan, .port = burst.port[i]};
  __builtin_memcpy(path.mac.bytes.data(), rte_pktmbuf_mtod(burst.mbuf[i], const uint8_t*) + 6, 6);
  setup_.routers->heard(packet.source.address.is_v4(), path);
}

/// Whether a packet in mid-stream may begin a flow; if not, it has been dealt with.
bool NewFlows::may_adopt(Burst& burst, uint32_t i, channel::ServiceId service_id) noexcept {
  const uint8_t flags = burst.packet[i].tcp_flags;
  const bool one_way = !sees_both_ways(state_.service(service_id).forwarding);
  if ((flags & (kTcpSyn | kTcpRst)) != 0) {
    // It may end what was carried without an entry.
    if (one_way && (flags & kTcpSyn) == 0) return meet_full_table(burst, i, service_id), false;
    return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow), false;
  }
  // Its client sends it again; any answer of ours would end it.
  if (parts_.told.may_yet_come(burst.packet[i], service_id))
    return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow), false;
  // A fullnat flow had an endpoint at the backend that nobody knows any more.
  if (state_.service(service_id).forwarding == channel::Forwarding::kFullnat) {
    return parts_.resets.answer(burst, i, Counter::kDropNoFlow), false;
  }
  if (take_adoption()) return true;
  if (one_way) return meet_full_table(burst, i, service_id), false;
  return egress_.drop(burst.mbuf[i], Counter::kDropAdoptQuota), false;
}

bool NewFlows::take_adoption() noexcept {
  const uint64_t earned = (clock_.now_ms() - adopt_credited_ms_) * kAdoptPerSecond / 1000;
  if (earned != 0) {
    adopt_tokens_ = std::min(kAdoptBurst, adopt_tokens_ + earned);
    adopt_credited_ms_ = clock_.now_ms();
  }
  if (adopt_tokens_ == 0) return false;
  adopt_tokens_--;
  return true;
}

void NewFlows::refuse(Burst& burst, uint32_t i, channel::ServiceId service_id, Counter reason) noexcept {
  counters_.service(service_id).flows_refused++;
  parts_.records.refuse(burst.packet[i], service_id, reason);
  if (is_opening(burst.packet[i])) {
    const channel::OnNoBackend answer = state_.service(service_id).on_no_backend;
    if (answer == channel::OnNoBackend::k421) return parts_.responder.answer_syn(burst, i, reason);
    if (answer == channel::OnNoBackend::kSilence) return egress_.drop(burst.mbuf[i], reason);
  }
  parts_.resets.answer(burst, i, reason);
}

void NewFlows::refuse_over_limit(Burst& burst, uint32_t i, channel::ServiceId service_id,
                                 channel::LimitAction action) noexcept {
  parts_.records.refuse(burst.packet[i], service_id, Counter::kDropLimited, parts_.limits.refused_by());
  switch (action) {
    case channel::LimitAction::k421:
      return parts_.responder.answer_syn(burst, i, Counter::kDropLimited);
    case channel::LimitAction::kTarpit:
      return parts_.responder.answer_syn(burst, i, Counter::kDropLimited, Responder::Told::kAfterTarpit);
    case channel::LimitAction::kReset:
      return parts_.resets.answer(burst, i, Counter::kDropLimited);
    case channel::LimitAction::kDrop:
      return egress_.drop(burst.mbuf[i], Counter::kDropLimited);
  }
}

/// A packet in mid-session, of a session that may be open. If another node has told of it, it has a right to a place:
/// one is made, for when the client, which hears nothing, sends again. Else, if it needs one and may be adopted then,
/// only what is over gives way. What it may cost of the quota, it costs then.
void NewFlows::go_on_in_full_table(Burst& burst, uint32_t i, channel::ServiceId service_id) noexcept {
  const channel::Forwarding forwarding = state_.service(service_id).forwarding;
  const Resumption told = parts_.told.of_client(burst.packet[i], service_id, burst.place[i]);
  if (!told) {
    if (parts_.told.may_yet_come(burst.packet[i], service_id)) return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow);
    if (forwarding != channel::Forwarding::kNat) return meet_full_table(burst, i, service_id);
  }
  if (told) parts_.room.keep();
  const bool may_pass = !sees_both_ways(forwarding) || setup_.on_table_full == OnTableFull::kStateless;
  const bool as_it_is = !told.splice && told.proxy_bytes == 0;
  const channel::BackendId known = told ? told.backend : channel::kNoBackend;
  if (may_pass && as_it_is && parts_.stateless.to_backend(burst, i, service_id, known)) return;
  const bool may_begin = (burst.packet[i].tcp_flags & (kTcpSyn | kTcpRst)) == 0;
  if (!told && may_begin && !is_blocked(burst, i)) parts_.room.keep_of_what_is_over();
  egress_.drop(burst.mbuf[i], Counter::kDropTableFull);
}

void NewFlows::meet_full_table(Burst& burst, uint32_t i, channel::ServiceId service_id) noexcept {
  const bool opening = is_opening(burst.packet[i]);
  if (!sees_both_ways(state_.service(service_id).forwarding)) {  // these need no entry, whatever the setting
    if (parts_.stateless.to_backend(burst, i, service_id)) return;
    return opening ? refuse(burst, i, service_id, Counter::kDropNoBackend)
                   : egress_.drop(burst.mbuf[i], Counter::kDropNoBackend);
  }
  const auto tell = [&] {
    if (opening) parts_.records.refuse(burst.packet[i], service_id, Counter::kDropTableFull);
  };
  if (setup_.on_table_full == OnTableFull::kSilence) {
    tell();
    counters_.service(service_id).flows_refused += opening ? 1 : 0;
    return egress_.drop(burst.mbuf[i], Counter::kDropTableFull);
  }
  if (setup_.on_table_full == OnTableFull::kStateless && parts_.stateless.to_backend(burst, i, service_id)) return;
  tell();
  counters_.service(service_id).flows_refused += opening ? 1 : 0;
  parts_.resets.answer(burst, i, Counter::kDropTableFull);
}

}  // namespace sluice
