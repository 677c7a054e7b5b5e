// SPDX-License-Identifier: Apache-2.0
//
// File descriptors and memory mappings that end with their owner.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

namespace sluice {

/// An open file descriptor, or none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A mapping of memory, or none.
class Mapping {
 public:
  Mapping() = default;
  /// As mmap(2). Empty if that failed; errno tells why.
  Mapping(size_t bytes, int protection, int flags, int fd);
  Mapping(Mapping&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::byte* data() const { return base_; }
  size_t bytes() const { return bytes_; }
  explicit operator bool() const { return base_ != nullptr; }

 private:
  std::byte* base_ = nullptr;
  size_t bytes_ = 0;
};

/// Memory that can be handed to another process: a sealed memfd, which can neither grow nor shrink, and its mapping
/// here.
struct SharedMemory {
  Descriptor descriptor;
  Mapping mapping;
};

/// `bytes` of zeroes, taken from the system page by page as they are touched. Throws SetupError.
SharedMemory make_shared_memory(const std::string& name, size_t bytes);

/// A second descriptor of the same memory that can only be read. Throws SetupError.
Descriptor reopen_read_only(const Descriptor& descriptor);

}  // namespace sluice
