// SPDX-License-Identifier: Apache-2.0
//
// Whole connections through a worker, and what it costs that each leaves a record.
#pragma once

#include <cstdint>

#include "perf/lib/quantile.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {

inline constexpr uint32_t kPacketsPerConnection = 7;

/// Whole connections of clients from `next_client` on: SYN, SYN-ACK, ACK, data, FIN, FIN, ACK. Returns cycles per
/// packet.
double lifecycle_block(WorkerRig& rig, uint32_t& next_client, uint32_t iterations);

struct RecordsOptions {
  uint32_t flows;
  uint32_t frame_bytes;
  bool v6;
  uint32_t blocks;
  uint32_t iterations;  // per block
};

/// Cycles per connection, over blocks that take turns.
struct RecordsFigures {
  Quartiles lost;      // no record finds room, and each is counted: the floor
  Quartiles recorded;  // each is written
  Quartiles added;     // by the blocks of a round
};

/// Ends the program if records were written that should not be, or lost that should be written.
RecordsFigures measure_records(const RecordsOptions& options);

}  // namespace sluice::perf
