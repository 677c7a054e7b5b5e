// SPDX-License-Identifier: Apache-2.0
//
// What systemd is told (sd_notify(3)): that the data plane is ready, that it stops, and, while every worker's loop goes
// on, that it lives. Fed by the main loop, so a stuck main lcore is as silent as a stuck worker; then systemd starts
// the process anew and its successor adopts the flows. Without a service manager all of it does nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace sluice {

class ServiceManager {
 public:
  /// How often a worker's loop has gone round: a counter that only grows.
  using Loops = std::function<uint64_t(uint32_t worker)>;

  ServiceManager(uint32_t workers, Loops loops);

  void ready();
  void stopping();
  /// Feeds the watchdog when it is time to. `now_ms`: CLOCK_MONOTONIC. Costs nothing between two feeds.
  void poll(uint64_t now_ms);

 private:
  bool all_went_on();

  Loops loops_;
  std::vector<uint64_t> seen_;  // of each worker, at the last feed
  uint64_t feed_every_ms_ = 0;  // 0 = there is no watchdog
  uint64_t fed_ms_ = 0;
};

}  // namespace sluice
