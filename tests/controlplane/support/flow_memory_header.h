// SPDX-License-Identifier: Apache-2.0
//
// The header of a worker's flow memory as tests lay it out: of one worker, the flows right behind it, none of them
// used.
#pragma once

#include "dataplane/contract/flow.h"

namespace sluice::control {

/// `version`: one that control knows, or 0 for one that is still being laid out.
inline FlowMemoryHeader flow_memory_header(uint32_t capacity, uint32_t version) {
  return {.magic = kFlowMemoryMagic,
          .version = version,
          .flow_capacity = capacity,
          .bucket_count = 0,
          .workers = 1,
          .hash_seed = 0,
          .boot_id = 0,
          .flows_offset = (sizeof(FlowMemoryHeader) + alignof(Flow) - 1) / alignof(Flow) * alignof(Flow),
          .flows_used = 0,
          .reserved = 0};
}

}  // namespace sluice::control
