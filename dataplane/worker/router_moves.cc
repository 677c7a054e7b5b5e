// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/router_moves.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr uint32_t kFlowsAhead = 8;

}  // namespace

std::optional<channel::RejectReason> RouterMoves::add(const channel::MoveRouter& message) noexcept {
  if (message.port_index >= setup_.ports) return channel::RejectReason::kBadPortIndex;
  setup_.routers->moved(message.port_index, message.from, message.to);
  if (count_ == kMoves) {
    std::copy(moves_.begin() + 1, moves_.end(), moves_.begin());
    count_--;
  }
  moves_[count_++] = message;
  left_ = flows_.used();
  return std::nullopt;
}

bool RouterMoves::sweep() noexcept {
  if (left_ == 0) return false;
  const uint64_t used = flows_.used();
  const uint64_t visits = std::min({left_, used, kVisitsPerPoll});
  for (uint64_t i = 0; i < visits; i++) {
    if (hand_ >= used) hand_ = 0;
    flows_.prefetch_flow(hand_ + kFlowsAhead < used ? hand_ + kFlowsAhead : 0);
    follow(flows_[hand_++]);
  }
  left_ = visits == 0 ? 0 : left_ - visits;
  if (left_ == 0) count_ = 0;
  return true;
}

void RouterMoves::follow(Flow& flow) noexcept {
  if (flow.state == TcpState::kFree) return;
  bool moved = false;
  for (uint32_t i = 0; i < count_; i++) {  // one may have moved more than once
    const channel::MoveRouter& move = moves_[i];
    if (flow.vlan_and_port >> 12 != move.port_index || flow.client_mac != move.from) continue;
    flow.client_mac = move.to;
    moved = true;
  }
  if (moved) counters_.count(Counter::kFlowsMovedRouter);
}

}  // namespace sluice
