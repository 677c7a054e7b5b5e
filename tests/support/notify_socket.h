// SPDX-License-Identifier: Apache-2.0
//
// A service manager as far as sd_notify(3) goes: the socket that NOTIFY_SOCKET names, and what was said to it.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

namespace sluice {

class NotifySocket {
 public:
  /// `watchdog_us`: the deadline that the process is told; 0 = no watchdog.
  explicit NotifySocket(unsigned watchdog_us)
      : descriptor_(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = "sluice-notify-" + std::to_string(getpid());
    std::ranges::copy(name, address.sun_path + 1);  // abstract: it leaves no file
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    bound_ = bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), length) == 0;
    setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
    setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
    setenv("WATCHDOG_USEC", std::to_string(watchdog_us).c_str(), 1);
  }
  ~NotifySocket() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}) unsetenv(name);
    close(descriptor_);
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  bool bound() const { return bound_; }

  /// What came since the last call, in order.
  std::vector<std::string> heard() const {
    std::vector<std::string> out;
    std::array<char, 256> buffer;
    for (ssize_t n; (n = recv(descriptor_, buffer.data(), buffer.size(), 0)) > 0;) {
      out.emplace_back(buffer.data(), static_cast<size_t>(n));
    }
    return out;
  }

 private:
  int descriptor_;
  bool bound_ = false;
};

}  // namespace sluice
