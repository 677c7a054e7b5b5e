// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/told_flows.h"

namespace sluice {

Resumption ToldFlows::resume(const ToldFlow& told, channel::ServiceId service) const noexcept {
  const bool fits = service != channel::kNoService && told.forwarding == state_.service(service).forwarding;
  const channel::BackendId backend =
      fits ? state_.find_backend_of(service, told.backend) : channel::BackendId{channel::kNoBackend};
  return {backend, service, told.stage == FlowStage::kOpen, told.proxy_bytes};
}

Resumption ToldFlows::of_client(const Packet& packet, channel::ServiceId service, FlowPlace place) noexcept {
  if (table_ == nullptr || (packet.tcp_flags & (kTcpSyn | kTcpRst)) != 0) return {};
  const auto told = table_->from_client(packet.source, packet.destination);
  if (!told) return {};
  const Resumption found = resume(*told, service);
  return found && placement_.may_keep(service, packet, place, found.backend) ? found : Resumption{};
}

Resumption ToldFlows::of_reply(const Packet& packet) noexcept {
  if (table_ == nullptr) return {};
  const auto told = table_->from_backend(packet.destination, packet.source);
  return told ? resume(*told, state_.find_service(told->vip)) : Resumption{};
}

void ToldFlows::meet_unanswered(Flow& flow, const Packet& packet) noexcept {
  if (table_ == nullptr || flow.forwarding() != channel::Forwarding::kNat || (flow.flags & kFlowSpecial) != 0) return;
  const auto told = table_->from_client(packet.source, packet.destination);
  const bool answered =
      told && told->stage == FlowStage::kOpen && told->backend == state_.backend(flow.backend).endpoint;
  if (answered) lifecycle_.set_state(flow, TcpState::kAdopted);
}

}  // namespace sluice
