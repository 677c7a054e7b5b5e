// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/steering_finding.h"

#include <algorithm>
#include <array>

namespace sluice {

SteeringFinding find_steering(std::span<const RssProof> queues) {
  if (queues.empty()) return {};
  std::array<uint64_t, channel::kSteeringFaults> faults{};
  uint64_t least = kProvingSegments, right = 0;
  SteeringFinding out;
  for (const RssProof& queue : queues) {
    const uint64_t of_queue = queue.right.load(std::memory_order_relaxed);
    least = std::min(least, of_queue);
    right += of_queue;
    for (size_t i = 0; i < faults.size(); i++) faults[i] += queue.misplaced[i].load(std::memory_order_relaxed);
  }
  for (const uint64_t count : faults) out.misplaced += count;
  if (out.misplaced <= std::max(kOddSegments, right / kRightToOneOdd)) {
    out.state = least < kProvingSegments ? channel::Steering::kUnproven : channel::Steering::kSteers;
    return out;
  }
  out.state = channel::Steering::kMisplaces;
  out.fault = static_cast<channel::SteeringFault>(std::ranges::max_element(faults) - faults.begin());
  return out;
}

}  // namespace sluice
