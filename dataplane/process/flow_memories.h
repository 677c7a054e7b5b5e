// SPDX-License-Identifier: Apache-2.0
//
// The flow memories of all workers: chooses where they are kept, takes up what an earlier run left there, and says in
// the log what became of it. Whatever that is, it does not keep the data plane from starting.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/flow/adoption.h"
#include "dataplane/flow/flow_store.h"

namespace sluice {

struct FlowMemoryPlan {
  std::vector<std::string> stores;  // directories to try in turn; "" = memory that dies with the process
  std::string files;                // what files are called
  uint32_t workers = 1;
  uint32_t classes = kMostClasses;  // at most, by which flows are dealt between them (flow/owner_table.h)
  uint32_t flow_capacity = 0;
  bool hugepages = true;
  std::vector<PortIdentity> ports;
  uint64_t boot_id = 0;
  uint64_t now_ms = 0;      // CLOCK_MONOTONIC
  uint64_t fresh_seed = 0;  // of tables that take up nothing
  /// Touches a worker's memory where it will be used. Returns an errno value.
  std::function<int(uint32_t worker, const FlowMemory&)> populate;
};

struct FlowMemories {
  std::vector<FlowMemory> of;  // by worker
  uint64_t hash_seed = 0;
  uint32_t classes = kMostClasses;  // by which flows are dealt: fewer than planned, where kept ones are
  std::string store;
};

/// The stores that `flow_store` stands for: "auto", a directory, or "" for none.
std::vector<std::string> flow_stores(const std::string& flow_store, bool hugepages);

/// Throws SetupError if none of the stores will do; then flows lie again as they did, for a run as the last one was.
FlowMemories make_flow_memories(const FlowMemoryPlan& plan);

/// The process ends in order: what it leaves has not kept it from running.
void end_in_order(const FlowMemories& memories);

}  // namespace sluice
