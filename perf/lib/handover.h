// SPDX-License-Identifier: Apache-2.0
//
// What it costs that a packet is handed over: the same packets of established flows, before the worker that has their
// flow and before the other one of two, block by block in turn.
#pragma once

#include <cstdint>
#include <optional>

#include "perf/lib/quantile.h"

namespace sluice::perf {

struct HandoverOptions {
  uint32_t flows;
  uint32_t frame_bytes;
  bool v6;
  bool zipf;
  uint32_t blocks;
  uint32_t iterations;                   // of each worker, per block
  std::optional<uint32_t> second_lcore;  // the second worker's; none: the first's
};

/// Cycles per packet, of both workers together, over blocks. `added` and `ratio` compare the two kinds of a block and
/// its neighbour.
struct HandoverFigures {
  Quartiles own, handed, added, ratio;
};

/// Ends the program if a packet was not forwarded, or not handed over as intended.
HandoverFigures measure_handover(const HandoverOptions& options);

}  // namespace sluice::perf
