// SPDX-License-Identifier: Apache-2.0
//
// What a second worker brings: one worker alone, and two at once, each on its core, in turn block by block.
#pragma once

#include <cstdint>

#include "perf/lib/quantile.h"

namespace sluice::perf {

struct ScalingOptions {
  uint32_t flows;
  uint32_t frame_bytes;
  bool v6;
  bool zipf;
  uint32_t blocks;
  uint32_t iterations;  // of each worker, per block
  uint32_t second_lcore;
};

/// Cycles of a worker per packet, over blocks; and how many times the packets of one worker two carry in the same time,
/// by the blocks of a round.
struct ScalingFigures {
  Quartiles alone;
  Quartiles own, own_times;        // two workers; packets come to the one that has their flow, as devices see to
  Quartiles either, either_times;  // to either, by chance: half of them are handed over
};

/// Ends the program if a packet was not forwarded.
ScalingFigures measure_scaling(const ScalingOptions& options);

}  // namespace sluice::perf
