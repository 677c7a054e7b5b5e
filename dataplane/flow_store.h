// SPDX-License-Identifier: Apache-2.0
//
// The memory in which a worker keeps its flows, which control may read: a file without a name, or one that outlives the
// process, in hugetlbfs or tmpfs (DESIGN.md section 8). What lies in it is dataplane/flow_memory.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "dataplane/shared_memory.h"

namespace sluice {

struct FlowStoreOptions {
  std::string directory;  // "" = anonymous
  std::string instance;
  uint32_t worker = 0;
  size_t bytes = 0;
  bool hugepages = true;
};

/// A worker's flow memory.
struct FlowMemory {
  Mapping mapping;
  Descriptor file;    // holds the lock on it, if it has a name
  bool kept = false;  // was there before, of the right size
  std::string where;  // for the log: a path, "huge pages" or "ordinary pages"
};

/// The file of a worker: DIRECTORY/INSTANCE-worker-N.flows.
std::string flow_file(const FlowStoreOptions& options);

/// Maps at least `options.bytes`. A file of the right size is mapped as it is; another is replaced, and that is logged.
/// Throws SetupError.
FlowMemory map_flow_memory(const FlowStoreOptions& options);

/// Touches every page, so that no fault meets the worker later; to be run where the memory will be used. Returns 0, or
/// an errno value if there was not enough.
int populate(const FlowMemory& memory) noexcept;

/// Removes the files of workers from `first` on, which an earlier run with more workers left.
void remove_flow_files(const std::string& directory, const std::string& instance, uint32_t first);

}  // namespace sluice
