// SPDX-License-Identifier: Apache-2.0
//
// What other nodes have told, and a ring for what a worker tells.
#pragma once

#include <rte_ring_elem.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/peers/told_table.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

struct ToldMemory {
  explicit ToldMemory(uint64_t flows)
      : bytes(static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for({flows}))), &free),
        table((std::memset(bytes.get(), 0, ToldTable::bytes_for({flows})), bytes.get()), {flows}, 1) {}

  std::unique_ptr<std::byte, decltype(&free)> bytes;
  ToldTable table;
};

inline rte_ring* tell_ring() {
  start_eal();
  static int next = 0;
  const std::string name = "tells" + std::to_string(next++);
  return rte_ring_create_elem(name.c_str(), sizeof(FlowIndex), 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/// The flows of which a worker has told since the last call.
inline std::vector<FlowIndex> take_told(rte_ring* tells) {
  std::vector<FlowIndex> out(64);
  out.resize(rte_ring_sc_dequeue_burst_elem(tells, out.data(), sizeof(FlowIndex), 64, nullptr));
  return out;
}

}  // namespace sluice::testing
