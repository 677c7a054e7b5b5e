// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/steering_finding.h"

#include <algorithm>
#include <array>

namespace sluice {

SteeringFinding find_steering(std::span<const RssProof> queues) {
  if (queues.empty()) return {};
  std::array<uint64_t, channel::kSteeringFaults> faults{};
  uint64_t least = kProvingSegments;
  SteeringFinding out;
  for (const RssProof& queue : queues) {
    least = std::min(least, queue.right.load(std::memory_order_relaxed));
    for (size_t i = 0; i < faults.size(); i++) faults[i] += queue.misplaced[i].load(std::memory_order_relaxed);
  }
  for (const uint64_t count : faults) out.misplaced += count;
  if (out.misplaced == 0) {
    out.state = least < kProvingSegments ? channel::Steering::kUnproven : channel::Steering::kSteers;
    return out;
  }
  out.state = channel::Steering::kMisplaces;
  out.fault = static_cast<channel::SteeringFault>(std::ranges::max_element(faults) - faults.begin());
  return out;
}

}  // namespace sluice
