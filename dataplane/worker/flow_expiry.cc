// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/flow_expiry.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr uint32_t kFlowsAhead = 8;
constexpr uint32_t kRecycleProbes = 64;  // flows looked at for a closed one

}  // namespace

FlowExpiry::FlowExpiry(const Context& context, SmtpObserver& observer, Resets& resets, FlowLifecycle& lifecycle,
                       Farewell& farewell) noexcept
    : clock_(context.clock),
      counters_(context.counters),
      flows_(context.flows),
      state_(context.state),
      observer_(observer),
      resets_(resets),
      lifecycle_(lifecycle),
      farewell_(farewell),
      on_idle_expiry_(context.setup.on_idle_expiry),
      credited_ms_(context.clock.now_ms()) {}

bool FlowExpiry::sweep() noexcept {
  const uint64_t used = flows_.used();
  if (used == 0) return false;
  credit_ = std::min(credit_ + (clock_.now_ms() - credited_ms_) * used, kRoundMs * used);
  credited_ms_ = clock_.now_ms();
  uint64_t visits = std::min(credit_ / kRoundMs, kVisitsPerPoll);
  credit_ -= visits * kRoundMs;
  if (urgent_ != 0) {
    visits = std::max(visits, std::min(urgent_, kUrgentVisitsPerPoll));
  }
  for (uint64_t i = 0; i < visits; i++) {
    if (!resets_.may_make()) break;
    const FlowIndex index = sweep_hand_;
    if (++sweep_hand_ >= used) sweep_hand_ = 0;
    flows_.prefetch_flow(index + kFlowsAhead < used ? index + kFlowsAhead : 0);
    visit(index);
    if (urgent_ != 0) urgent_--;
  }
  return visits != 0;
}

void FlowExpiry::visit(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  if (flow.state == TcpState::kFree) return;
  if (is_due(flow.deadline_ms, clock_.now32_ms())) {
    observer_.expires(index, flow, clock_.now_ms());
    const bool over = is_over(flow.state);
    // Whoever never finished a handshake may not exist: no answer goes there.
    const bool heard = on_idle_expiry_ == OnIdleExpiry::kReset && !over && !is_embryonic(flow.state);
    if (heard) return lifecycle_.cut(index, Counter::kFlowsCutIdle);
    if (is_embryonic(flow.state)) lifecycle_.remember_handshake(flow);
    if (!over) counters_.count(Counter::kFlowsExpired);
    return lifecycle_.forget(index);
  }
  if ((flow.flags & kFlowCut) != 0 || is_over(flow.state)) return;
  if (!state_.is_lost(flow)) {
    if (farewell_.is_leaving(flow)) [[unlikely]]
      farewell_.ask_if_silent(index);
    return;
  }
  if (flow.state == TcpState::kSynSent && flow.spliced) return;  // another backend will be asked
  // Nobody has answered its SYN: it will come again, and find another backend.
  if (flow.state == TcpState::kSynSent) return lifecycle_.forget(index);
  lifecycle_.cut(index, Counter::kFlowsCutDown);
}

bool FlowExpiry::recycle_closed() noexcept {
  for (uint32_t probe = 0; probe < kRecycleProbes; probe++) {
    const FlowIndex index = recycle_hand_;
    if (++recycle_hand_ >= flows_.used()) recycle_hand_ = 0;
    if (!is_over(flows_[index].state)) continue;
    lifecycle_.forget(index);
    counters_.count(Counter::kFlowsRecycledClosing);
    return true;
  }
  return false;
}

}  // namespace sluice
