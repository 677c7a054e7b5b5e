// SPDX-License-Identifier: Apache-2.0
//
// Packets of established flows of every kind, each kind beside plain NAT: how near the fast path it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "perf/lib/quantile.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {

struct FlowKindsOptions {
  uint32_t flows;
  uint32_t frame_bytes;
  bool v6;
  bool zipf;
  uint32_t blocks;
  uint32_t iterations;  // poll iterations per block
  std::string only;     // of one kind; empty: of all
};

/// Their names.
std::vector<std::string> flow_kinds();

/// Cycles per packet of one kind over blocks that take turns with plain NAT's. Kinds that see one half of a connection
/// are held against the client's half of plain flows.
struct FlowKindFigures {
  std::string_view kind;
  Quartiles plain;
  Quartiles cycles;
  Quartiles ratio;  // by the blocks of a round
};

/// Measures one kind after the other, and tells of each. Ends the program if packets were not forwarded.
void measure_flow_kinds(const FlowKindsOptions& options, const std::function<void(const FlowKindFigures&)>& tell);

}  // namespace sluice::perf
