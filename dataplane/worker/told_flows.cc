// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/told_flows.h"

#include "dataplane/flow/local_ports.h"
#include "dataplane/flow/tcp_track.h"

namespace sluice {

Resumption ToldFlows::resume(const ToldFlow& told, channel::ServiceId service) const noexcept {
  const bool fits = service != channel::kNoService && told.forwarding == state_.service(service).forwarding;
  if (!fits) return {};
  Resumption out{.backend = state_.find_backend_of(service, told.backend),
                 .service = service,
                 .client = told.client,
                 .local = {},
                 .open = told.stage == FlowStage::kOpen,
                 .asked = told.is_asked(),
                 .proxy_bytes = told.proxy_bytes,
                 .splice = told.splice};
  if (told.forwarding != channel::Forwarding::kFullnat) return out;
  const uint32_t local = state_.find_local(told.local.address);
  out.local = {static_cast<uint8_t>(local), told.local.port};
  return local != channel::kMaxLocals && may_speak_from(out, told) ? out : Resumption{};
}

/// Whether no flow of another client is at the same endpoint here: the backend could not tell them apart.
bool ToldFlows::may_speak_from(const Resumption& flow, const ToldFlow& told) const noexcept {
  if (!is_local_port(told.local.port) || told.local.address.is_v4() != told.backend.address.is_v4()) return false;
  Packet reply{};
  reply.source = told.backend;
  reply.destination = told.local;
  const FlowIndex other = finder_.from_local(flow.local.index, reply);
  return other == kNoFlow;
}

Resumption ToldFlows::of_client(const Packet& packet, channel::ServiceId service, FlowPlace place) noexcept {
  if (table_ == nullptr || (packet.tcp_flags & (kTcpSyn | kTcpRst)) != 0) return {};
  const auto told = table_->from_client(packet.source, packet.destination);
  if (!told) return {};
  const Resumption found = resume(*told, service);
  return found && placement_.may_keep(service, packet, place, found.backend) ? found : Resumption{};
}

bool ToldFlows::may_yet_come(const Packet& packet, channel::ServiceId id) const noexcept {
  if (table_ == nullptr || !table_->expects_more(clock_.now_ms())) return false;
  const Service& service = state_.service(id);
  const bool by_load =
      service.scheduler == channel::Scheduler::kWrr || service.scheduler == channel::Scheduler::kLeastConn;
  if (service.forwarding != channel::Forwarding::kFullnat && !by_load) return false;
  return !table_->from_client(packet.source, packet.destination);  // else it is known, and cannot go on
}

Resumption ToldFlows::of_reply(const Packet& packet) const noexcept {
  if (table_ == nullptr) return {};
  const auto told = is_to_nodes(packet) ? table_->from_local(packet.destination, packet.source)
                                        : table_->from_backend(packet.destination, packet.source);
  return told ? resume(*told, state_.find_service(told->vip)) : Resumption{};
}

bool ToldFlows::is_to_nodes(const Packet& packet) const noexcept {
  return table_ != nullptr && is_local_port(packet.destination.port) &&
         state_.find_local(packet.destination.address) != channel::kMaxLocals;
}

uint32_t ToldFlows::worker_of(const Packet& reply, const Resumption& told) const noexcept {
  const bool by_port = told.local.port.raw != 0 && local_port_owner(told.local.port, setup_.workers) == setup_.index;
  if (!by_port) return setup_.index;  // or it has been handed over already
  const uint32_t has_it = table_->worker_of(reply.destination, reply.source);
  return has_it < setup_.workers ? has_it : ownership_.of_client(told.client);
}

bool ToldFlows::meet_unanswered(Flow& flow, const Packet& packet, FlowPlace place) noexcept {
  if (table_ == nullptr || !is_unanswered(flow) || (flow.flags & kFlowSpecial) != 0) return true;
  const auto told = table_->from_client(packet.source, packet.destination);
  if (!told || told->stage != FlowStage::kOpen) return true;
  if (told->backend != state_.backend(flow.backend).endpoint) return !of_client(packet, flow.service, place);
  lifecycle_.set_state(flow, TcpState::kAdopted);
  return true;
}

bool ToldFlows::gives_way(const Flow& flow, const Packet& packet, const Resumption& told) const noexcept {
  if (is_over(flow.state)) return true;
  const bool syn = (packet.tcp_flags & kTcpSyn) != 0;
  if (is_unanswered(flow)) return (syn || told.open) && acknowledges_syn(flow, packet);
  const uint32_t latest_ms = lifecycle_.deadline_ms_of(flow);
  // Where the other half's node has answered the client's SYN itself, or has had the server's answer passed on to it
  // (worker/answer_passing.h), the server's first word here is no SYN.
  if (told.open && (told.splice || told.proxy_bytes != 0)) return is_left(flow, latest_ms);
  if (!syn || told.open) return false;
  // The node that has the other half of a session that is open says so, and a SYN at a third changes nothing of it
  // (ToldTable::put()).
  return is_left(flow, latest_ms) || (flow.state == TcpState::kAdopted && is_quiet(flow, latest_ms));
}

}  // namespace sluice
