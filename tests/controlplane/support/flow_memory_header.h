// SPDX-License-Identifier: Apache-2.0
//
// The header of a worker's flow memory as tests lay it out: of one worker, the flows right behind what they refer to
// and their notes behind those, none of them used.
#pragma once

#include "dataplane/contract/flow.h"
#include "dataplane/contract/session.h"
#include "dataplane/contract/targets.h"

namespace sluice::control {

/// `version`: one that control knows, or 0 for one that is still being laid out.
inline FlowMemoryHeader flow_memory_header(uint32_t capacity, uint32_t version) {
  constexpr uint64_t kFlowsOffset = (kTargetsEnd + alignof(Flow) - 1) / alignof(Flow) * alignof(Flow);
  return {.magic = kFlowMemoryMagic,
          .version = version,
          .flow_capacity = capacity,
          .bucket_count = 0,
          .workers = 1,
          .hash_seed = 0,
          .boot_id = 0,
          .flows_offset = kFlowsOffset,
          .flows_used = 0,
          .notes_offset = kFlowsOffset + capacity * sizeof(Flow)};
}

}  // namespace sluice::control
