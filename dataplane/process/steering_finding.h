// SPDX-License-Identifier: Apache-2.0
//
// What all workers together have found out of a port that is to put packets before the worker that has their flow.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/contract/ports.h"
#include "dataplane/worker/rss_proof.h"

namespace sluice {

/// So many of a queue's segments that are right prove that it gets what it should.
inline constexpr uint64_t kProvingSegments = 256;
/// Odd ones are not held against a card: so many, or one in so many that are right.
inline constexpr uint64_t kOddSegments = 16;
inline constexpr uint64_t kRightToOneOdd = 1024;

struct SteeringFinding {
  channel::Steering state = channel::Steering::kNotMeant;
  channel::SteeringFault fault = channel::SteeringFault::kUnknown;  // of kMisplaces: the most frequent one
  uint64_t misplaced = 0;

  friend bool operator==(const SteeringFinding&, const SteeringFinding&) = default;
};

/// `queues`: of each worker; none: the port is not to steer. It steers when every queue is proven, and misplaces where
/// more than odd ones came to another worker, proven or not.
SteeringFinding find_steering(std::span<const RssProof> queues);

}  // namespace sluice
