// SPDX-License-Identifier: Apache-2.0
//
// A non-blocking socket and an epoll instance as RAII types, for clients and servers that hold tens of thousands of
// connections in one thread.
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace sluice::mail {

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

/// Readiness of many sockets, each known by a number that the owner chose.
class Poll {
 public:
  Poll();  ///< throws std::system_error

  /// Throws std::system_error when the kernel refuses.
  void add(int fd, uint32_t events, uint64_t token);
  void change(int fd, uint32_t events, uint64_t token);

  /// What became ready within `timeout_ms` (-1: no limit); empty on a time-out or a signal.
  std::span<const epoll_event> wait(int timeout_ms);

 private:
  static constexpr int kMaxEvents = 512;
  Descriptor epoll_;
  epoll_event events_[kMaxEvents];
};

/// An IPv4 or IPv6 address with a port, as the socket calls take it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  /// `text` is a numeric address without brackets. Throws std::invalid_argument.
  static SocketAddress of(std::string_view text, uint16_t port);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// CLOCK_MONOTONIC in microseconds.
uint64_t now_us();

}  // namespace sluice::mail
