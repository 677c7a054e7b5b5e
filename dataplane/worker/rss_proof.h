// SPDX-License-Identifier: Apache-2.0
//
// What one worker has found out of a port that is to put clients' packets before their owner (rss_check.h). Written by
// the worker alone, read by main.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/contract/ports.h"

namespace sluice {

struct alignas(64) RssProof {
  std::atomic<uint64_t> right{0};  // segments that came before their owner
  // And others, by what the card did wrong.
  std::array<std::atomic<uint64_t>, channel::kSteeringFaults> misplaced{};
};

}  // namespace sluice
