// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/flow_maker.h"

#include "dataplane/worker/modes.h"

namespace sluice {

FlowIndex FlowMaker::make(FlowPlace place, const Flow& filled, Counter& refusal, LocalPort local) noexcept {
  const channel::Forwarding forwarding = state_.service(filled.service).forwarding;
  if (forwarding == channel::Forwarding::kFullnat && local.port.raw == 0) [[unlikely]] {
    local = fullnat_ports_.take(state_.backend(filled.backend));
    if (local.port.raw == 0) return refusal = Counter::kDropNoLocalPort, kNoFlow;
  }
  refusal = Counter::kDropTableFull;
  if (flows_.available() == 0) return kNoFlow;
  room_.keep();
  const FlowIndex index = flows_.insert(place);
  if (index == kNoFlow) return kNoFlow;
  flows_[index] = filled;
  return forwarding == channel::Forwarding::kNat || set_mode(index, forwarding, local) ? index : kNoFlow;
}

/// False, and the flow is gone, if the table has no room for its second place.
bool FlowMaker::set_mode(FlowIndex index, channel::Forwarding forwarding, LocalPort local) noexcept {
  Flow& flow = flows_[index];
  flow.flags |= kFlowSpecial;
  flow.set_mode(forwarding, local.index);
  flow.local_port = local.port;
  if (!sees_both_ways(flow)) flow.smtp_phase = static_cast<uint8_t>(SmtpPhase::kOff);
  if (forwarding != channel::Forwarding::kFullnat) return true;
  finder_.note_fullnat();
  if (flows_.index_local(index)) return true;
  flows_.erase(index);
  return false;
}

}  // namespace sluice
