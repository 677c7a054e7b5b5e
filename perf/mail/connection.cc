// SPDX-License-Identifier: Apache-2.0
#include "perf/mail/connection.h"

#include <arpa/inet.h>

#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>

namespace sluice::mail {

namespace {

void require(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Poll::Poll() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  require(epoll_.get(), "epoll_create1");
}

void Poll::add(int fd, uint32_t events, uint64_t token) {
  epoll_event event{.events = events, .data = {.u64 = token}};
  require(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void Poll::change(int fd, uint32_t events, uint64_t token) {
  epoll_event event{.events = events, .data = {.u64 = token}};
  require(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

std::span<const epoll_event> Poll::wait(int timeout_ms) {
  const int ready = epoll_wait(epoll_.get(), events_, kMaxEvents, timeout_ms);
  if (ready < 0 && errno != EINTR) require(ready, "epoll_wait");
  return {events_, ready < 0 ? 0 : static_cast<size_t>(ready)};
}

SocketAddress SocketAddress::of(std::string_view text, uint16_t port) {
  const std::string copy(text);
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (inet_pton(AF_INET, copy.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof *v4;
  } else if (inet_pton(AF_INET6, copy.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof *v6;
  } else {
    throw std::invalid_argument("\"" + copy + "\" is neither an IPv4 nor an IPv6 address");
  }
  return out;
}

uint64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace sluice::mail
