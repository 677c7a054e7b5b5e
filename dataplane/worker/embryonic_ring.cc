// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/embryonic_ring.h"

namespace sluice {
namespace {

constexpr uint32_t kStepsToOldest = 1024;
constexpr uint32_t kStepsAhead = 8;

uint32_t limit_for(uint32_t flow_capacity) {
  uint32_t limit = 64;
  while (limit * 2 <= flow_capacity / 4 && limit * 2 <= EmbryonicRing::kSize) limit *= 2;
  return limit;
}

}  // namespace

EmbryonicRing::EmbryonicRing(FlowTable& flows) noexcept : flows_(flows), limit_(limit_for(flows.capacity())) {
  ring_.fill(kNoFlow);
}

FlowIndex EmbryonicRing::join(FlowIndex index) noexcept {
  const uint32_t position = next_++ & (limit_ - 1);
  const FlowIndex oldest = ring_[position];
  ring_[position] = index;
  flows_[index].bytes_up = position;
  if (next_ - last_ > limit_) last_ = next_ - limit_;
  if (oldest == kNoFlow || oldest == index) return kNoFlow;
  return is_at(oldest, position) ? oldest : kNoFlow;
}

FlowIndex EmbryonicRing::oldest() noexcept {
  for (uint32_t step = 0; step < kStepsToOldest && last_ != next_; step++, last_++) {
    const FlowIndex ahead = ring_[(last_ + kStepsAhead) & (limit_ - 1)];
    if (ahead != kNoFlow) flows_.prefetch_flow(ahead);
    const uint32_t position = last_ & (limit_ - 1);
    if (is_at(ring_[position], position)) return ring_[position];
  }
  return kNoFlow;
}

}  // namespace sluice
