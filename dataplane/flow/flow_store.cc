// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/flow_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <mntent.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "dataplane/base/setup_error.h"
#include "dataplane/contract/segment.h"

namespace sluice {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr int kMadvCollapse = 25;  // MADV_COLLAPSE of Linux 6.1, which the C library does not know yet

/// A mapped file without a name; without mapping, and errno, if it cannot be had.
FlowMemory map_nameless(size_t bytes, unsigned memfd_flags, const char* where) {
  FlowMemory memory{.mapping = {}, .file = {}, .kept = false, .where = where};
  memory.file = Descriptor(memfd_create("sluice-flows", MFD_CLOEXEC | MFD_ALLOW_SEALING | memfd_flags));
  if (!memory.file || ftruncate(memory.file.get(), static_cast<off_t>(bytes)) != 0) return memory;
  fcntl(memory.file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  memory.mapping = Mapping(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.file.get());
  return memory;
}

FlowMemory map_anonymous(const FlowStoreOptions& options) {
  const size_t bytes = channel::align_up(options.bytes, kHugePageBytes);
  if (options.hugepages) {
    FlowMemory memory = map_nameless(bytes, MFD_HUGETLB | MFD_HUGE_2MB, "huge pages");
    if (memory.mapping) return memory;
    spdlog::warn(
        "flow memory of worker {}: no {} MiB of huge pages are left; ordinary pages serve, with more TLB misses",
        options.worker, bytes >> 20);
  }
  FlowMemory memory = map_nameless(bytes, 0, "ordinary pages");
  if (!memory.mapping) {
    throw SetupError(fmt::format("flow memory of worker {}: {} MiB: {}; lower flow_capacity", options.worker,
                                 bytes >> 20, std::strerror(errno)));
  }
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

/// Whether nobody else can have written what is in a file: /dev/shm is open to all.
bool is_ours(const Descriptor& file) {
  struct stat now{};
  return fstat(file.get(), &now) == 0 && S_ISREG(now.st_mode) && now.st_uid == geteuid() &&
         (now.st_mode & (S_IWGRP | S_IWOTH)) == 0 && now.st_nlink == 1;
}

void claim(const Descriptor& file, const std::string& path) {
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    throw SetupError(
        fmt::format("flow memory {} is in use by another process; stop it, or give this one another instance "
                    "name or flow_store",
                    path));
  }
}

Descriptor open_locked(const std::string& path, int flags) {
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
  const bool refused = !file && (errno == EACCES || errno == ELOOP);  // as by fs.protected_regular
  if (refused || (file && !is_ours(file))) {
    spdlog::warn("flow memory {} is not a file of ours alone; it is replaced", path);
    unlink(path.c_str());
    file = Descriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_EXCL, 0600));
  }
  if (!file) throw SetupError(fmt::format("flow memory {}: {}", path, std::strerror(errno)));
  claim(file, path);
  return file;
}

/// Brings the file to `bytes`. Returns whether it had that size before. One of another size makes way for a new
/// file and is not cut: control may still read it.
bool size_file(FlowMemory& memory, const FlowStoreOptions& options, size_t bytes) {
  struct stat now{};
  fstat(memory.file.get(), &now);
  if (now.st_size == static_cast<off_t>(bytes)) return true;
  if (now.st_size != 0) {
    spdlog::warn(
        "flow memory of worker {}: {} has {} bytes and not {}, as after a change of flow_capacity; it is replaced, "
        "its flows are forgotten",
        options.worker, memory.where, now.st_size, bytes);
    unlink(memory.where.c_str());
    memory.file = open_locked(memory.where, O_EXCL);
  }
  if (ftruncate(memory.file.get(), static_cast<off_t>(bytes)) != 0) {
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
  memory.file = open_locked(memory.where, 0);
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

std::optional<FlowMemory> open_kept(const FlowStoreOptions& options) {
  FlowMemory memory{.mapping = {}, .file = {}, .kept = true, .where = flow_file(options)};
  memory.file = Descriptor(open(memory.where.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!memory.file || !is_ours(memory.file)) return std::nullopt;
  claim(memory.file, memory.where);
  struct stat now{};
  if (fstat(memory.file.get(), &now) != 0 || now.st_size == 0) return std::nullopt;
  memory.mapping = Mapping(static_cast<size_t>(now.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, memory.file.get());
  // A file that is not there in full would end the process when it is read.
  if (!memory.mapping || madvise(memory.mapping.data(), memory.mapping.bytes(), MADV_POPULATE_READ) != 0) {
    return std::nullopt;
  }
  return memory;
}

std::vector<std::string> find_flow_stores(bool hugepages) {
  std::vector<std::string> found;
  const auto is_of = [](const std::string& directory, long type, size_t page) {
    struct statfs system{};
    return statfs(directory.c_str(), &system) == 0 && static_cast<long>(system.f_type) == type &&
           (page == 0 || static_cast<size_t>(system.f_bsize) == page) && access(directory.c_str(), W_OK) == 0;
  };
  FILE* mounts = hugepages ? setmntent("/proc/self/mounts", "re") : nullptr;
  while (const mntent* mount = mounts == nullptr ? nullptr : getmntent(mounts)) {
    // In a mount that is root's a directory was made for us (config/systemd/prepare-instance).
    for (const std::string& directory : {mount->mnt_dir + std::string("/sluice"), std::string(mount->mnt_dir)}) {
      if (is_of(directory, HUGETLBFS_MAGIC, kHugePageBytes)) found.push_back(directory);
    }
  }
  if (mounts != nullptr) endmntent(mounts);
  if (is_of("/dev/shm", TMPFS_MAGIC, 0)) found.emplace_back("/dev/shm");
  return found;
}

std::string lack_of_room(const std::string& directory, size_t bytes) {
  struct statfs system{};
  // hugetlbfs names no free blocks, but refuses a mapping that it has no pages for.
  if (statfs(directory.c_str(), &system) != 0 || system.f_type == HUGETLBFS_MAGIC || system.f_blocks == 0) return "";
  const size_t free = static_cast<size_t>(system.f_bavail) * static_cast<size_t>(system.f_bsize);
  if (free >= bytes) return "";
  return fmt::format("{} MiB are free in {}, and {} are needed", free >> 20, directory, bytes >> 20);
}

int populate(const FlowMemory& memory) noexcept {
  if (madvise(memory.mapping.data(), memory.mapping.bytes(), MADV_POPULATE_WRITE) != 0) return errno;
  // Ordinary pages become huge ones where there are such; it is as good a table if not.
  madvise(memory.mapping.data(), memory.mapping.bytes(), kMadvCollapse);
  return 0;
}

void remove_flow_files(const std::string& directory, const std::string& instance, uint32_t first) {
  if (directory.empty()) return;
  for (uint32_t worker = first; worker < channel::kMaxWorkers; worker++) {
    const std::string path = flow_file({.directory = directory, .instance = instance, .worker = worker});
    if (unlink(path.c_str()) == 0) spdlog::info("flow memory {} removed: there is no such worker any more", path);
  }
}

}  // namespace sluice
