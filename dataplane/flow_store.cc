// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dataplane/contract/segment.h"
#include "dataplane/setup_error.h"

namespace sluice {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

FlowMemory map_anonymous(const FlowStoreOptions& options) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  const size_t bytes = channel::align_up(options.bytes, kHugePageBytes);
  if (options.hugepages) {
    FlowMemory memory{.mapping = Mapping(bytes, PROT_READ | PROT_WRITE, kFlags | MAP_HUGETLB, -1),
                      .file = {},
                      .kept = false,
                      .where = "huge pages"};
    if (memory.mapping) return memory;
    spdlog::warn(
        "flow memory of worker {}: no {} MiB of huge pages are left; ordinary pages serve, with more TLB misses",
        options.worker, bytes >> 20);
  }
  FlowMemory memory{.mapping = Mapping(bytes, PROT_READ | PROT_WRITE, kFlags, -1),
                    .file = {},
                    .kept = false,
                    .where = "ordinary pages"};
  if (!memory.mapping) {
    throw SetupError(fmt::format("flow memory of worker {}: {} MiB: {}; lower flow_capacity", options.worker,
                                 bytes >> 20, std::strerror(errno)));
  }
  madvise(memory.mapping.data(), bytes, MADV_HUGEPAGE);
  return memory;
}

/// Size to which files of the directory's file system are rounded: its page.
size_t page_bytes(const FlowStoreOptions& options) {
  struct statfs system{};
  if (statfs(options.directory.c_str(), &system) != 0) {
    throw SetupError(
        fmt::format("flow_store = \"{}\": {}; name a hugetlbfs mount (/dev/hugepages) or /dev/shm, or \"\" to "
                    "keep no flows",
                    options.directory, std::strerror(errno)));
  }
  if (system.f_type == HUGETLBFS_MAGIC) return static_cast<size_t>(system.f_bsize);
  if (system.f_type != TMPFS_MAGIC && options.worker == 0) {
    spdlog::warn("flow_store = \"{}\" is neither hugetlbfs nor tmpfs: writing back to disk will disturb the workers",
                 options.directory);
  }
  return kHugePageBytes;
}

/// Brings the file to `bytes`. Returns whether it had that size before.
bool size_file(const FlowMemory& memory, const FlowStoreOptions& options, size_t bytes) {
  struct stat now{};
  fstat(memory.file.get(), &now);
  if (now.st_size == static_cast<off_t>(bytes)) return true;
  if (now.st_size != 0) {
    spdlog::warn(
        "flow memory of worker {}: {} has {} bytes and not {}, as after a change of flow_capacity; it is replaced, "
        "its flows are forgotten",
        options.worker, memory.where, now.st_size, bytes);
  }
  if (ftruncate(memory.file.get(), 0) != 0 || ftruncate(memory.file.get(), static_cast<off_t>(bytes)) != 0) {
    throw SetupError(fmt::format("flow memory {}: {}", memory.where, std::strerror(errno)));
  }
  return false;
}

}  // namespace

std::string flow_file(const FlowStoreOptions& options) {
  return fmt::format("{}/{}-worker-{}.flows", options.directory, options.instance, options.worker);
}

FlowMemory map_flow_memory(const FlowStoreOptions& options) {
  if (options.directory.empty()) return map_anonymous(options);
  const size_t bytes = channel::align_up(options.bytes, page_bytes(options));
  FlowMemory memory{.mapping = {}, .file = {}, .kept = false, .where = flow_file(options)};
  memory.file = Descriptor(open(memory.where.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!memory.file) throw SetupError(fmt::format("flow memory {}: {}", memory.where, std::strerror(errno)));
  if (flock(memory.file.get(), LOCK_EX | LOCK_NB) != 0) {
    throw SetupError(
        fmt::format("flow memory {} is in use by another process; stop it, or give this one another instance "
                    "name or flow_store",
                    memory.where));
  }
  memory.kept = size_file(memory, options, bytes);
  memory.mapping = Mapping(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.file.get());
  if (!memory.mapping) {
    const int error = errno;
    if (!memory.kept) unlink(memory.where.c_str());
    throw SetupError(fmt::format("flow memory {}: {} MiB: {}; free as much there, or lower flow_capacity", memory.where,
                                 bytes >> 20, std::strerror(error)));
  }
  return memory;
}

int populate(const FlowMemory& memory) noexcept {
  return madvise(memory.mapping.data(), memory.mapping.bytes(), MADV_POPULATE_WRITE) == 0 ? 0 : errno;
}

void remove_flow_files(const std::string& directory, const std::string& instance, uint32_t first) {
  if (directory.empty()) return;
  for (uint32_t worker = first; worker < channel::kMaxWorkers; worker++) {
    const std::string path = flow_file({.directory = directory, .instance = instance, .worker = worker});
    if (unlink(path.c_str()) == 0) spdlog::info("flow memory {} removed: there is no such worker any more", path);
  }
}

}  // namespace sluice
