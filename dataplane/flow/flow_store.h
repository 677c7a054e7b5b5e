// SPDX-License-Identifier: Apache-2.0
//
// The memory in which a worker keeps its flows, which control may read: a file without a name, or one that outlives the
// process, in hugetlbfs or tmpfs. What lies in it is dataplane/flow/flow_memory.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/shared_memory.h"

namespace sluice {

struct FlowStoreOptions {
  std::string directory;  // "" = anonymous
  std::string instance;   // what files are called
  uint32_t worker = 0;
  size_t bytes = 0;
  bool hugepages = true;
};

/// A worker's flow memory.
struct FlowMemory {
  Mapping mapping;
  Descriptor file;    // holds the lock on it, if it has a name
  bool kept = false;  // a file that was there before, of the right size
  std::string where;  // for the log: a path, "huge pages" or "ordinary pages"
};

/// The file of a worker: DIRECTORY/INSTANCE-worker-N.flows.
std::string flow_file(const FlowStoreOptions& options);

/// Maps at least `options.bytes`. A file of the right size is mapped as it is; another is replaced, and that is logged.
/// Throws SetupError.
FlowMemory map_flow_memory(const FlowStoreOptions& options);

/// Maps the file of a worker as an earlier run left it, whatever its size. Nothing if there is none, or none that can
/// be trusted. Throws SetupError if it is in use.
std::optional<FlowMemory> open_kept(const FlowStoreOptions& options);

/// The directories where flow memory may be kept, the best first: mounts of hugetlbfs with pages of 2 MiB, if such are
/// wanted, and /dev/shm.
std::vector<std::string> find_flow_stores(bool hugepages);

/// Why `bytes` of new files are not to be had in a directory; "" if nothing speaks against it.
std::string lack_of_room(const std::string& directory, size_t bytes);

/// Touches every page, so that no fault meets the worker later; to be run where the memory will be used. Returns 0, or
/// an errno value if there was not enough.
int populate(const FlowMemory& memory) noexcept;

/// Removes the files of workers from `first` on, which an earlier run left.
void remove_flow_files(const std::string& directory, const std::string& instance, uint32_t first);

}  // namespace sluice
