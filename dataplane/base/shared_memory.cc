// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dataplane/base/setup_error.h"

namespace sluice {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Mapping::Mapping(size_t bytes, int protection, int flags, int fd) {
  void* base = mmap(nullptr, bytes, protection, flags, fd, 0);
  if (base == MAP_FAILED) return;
  base_ = static_cast<std::byte*>(base);
  bytes_ = bytes;
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    if (base_ != nullptr) munmap(base_, bytes_);
    base_ = std::exchange(other.base_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Mapping::~Mapping() {
  if (base_ != nullptr) munmap(base_, bytes_);
}

SharedMemory make_shared_memory(const std::string& name, size_t bytes) {
  SharedMemory memory{.descriptor = Descriptor(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING)),
                      .mapping = {}};
  if (memory.descriptor && ftruncate(memory.descriptor.get(), static_cast<off_t>(bytes)) == 0 &&
      fcntl(memory.descriptor.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
    memory.mapping = Mapping(bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.descriptor.get());
  }
  if (!memory.mapping) {
    throw SetupError(fmt::format("{}: {} bytes of shared memory: {}", name, bytes, std::strerror(errno)));
  }
  return memory;
}

Descriptor reopen_read_only(const Descriptor& descriptor) {
  Descriptor copy(open(fmt::format("/proc/self/fd/{}", descriptor.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!copy)
    throw SetupError(
        fmt::format("shared memory could not be opened for reading: {}; is /proc mounted?", std::strerror(errno)));
  return copy;
}

}  // namespace sluice
