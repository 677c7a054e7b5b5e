// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/table_room.h"

#include "dataplane/worker/modes.h"

namespace sluice {

void TableRoom::make() noexcept {
  if (make_of_what_is_over()) return;
  // One that may yet be finished goes only for want of anything else.
  if (flows_.available() < kMaxBurst && !displace_idle()) lifecycle_.displace_handshake(0);
}

bool TableRoom::make_of_what_is_over() noexcept {
  return lifecycle_.displace_handshake(kHandshakeMs) || recycle_closed();
}

/// Looks at many flows, so in vain only once in a millisecond: a flood must not make it a burden.
bool TableRoom::recycle_closed() noexcept {
  if (none_closed_ms_ == clock_.now_ms()) return false;
  if (expiry_.recycle_closed()) return true;
  none_closed_ms_ = clock_.now_ms();
  return false;
}

/// The one that has been idle longest of a few drawn at random: forged connections, which nobody goes on with, are
/// sooner or later drawn.
bool TableRoom::displace_idle() noexcept {
  if (none_idle_ms_ == clock_.now_ms()) return false;
  FlowIndex longest = kNoFlow;
  uint32_t longest_ms = kIdleMs;
  for (uint32_t probe = 0; probe < kIdleProbes; probe++) {
    const FlowIndex index = random_.draw(flows_.used());
    const Flow& flow = flows_[index];
    if (!loses_nothing(flow)) continue;
    const uint32_t idle_ms = lifecycle_.deadline_ms_of(flow) - flow.deadline_ms;
    if (!sequence_before(longest_ms, idle_ms)) continue;
    longest = index;
    longest_ms = idle_ms;
  }
  if (longest == kNoFlow) {
    none_idle_ms_ = clock_.now_ms();
    return false;
  }
  lifecycle_.give_way(longest);
  counters_.count(Counter::kFlowsExpired);
  return true;
}

bool TableRoom::loses_nothing(const Flow& flow) const noexcept {
  return flow.state == TcpState::kEstablished && !sees_both_ways(flow) && placement_.is_where_hash_leads(flow);
}

}  // namespace sluice
