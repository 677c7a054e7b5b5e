// SPDX-License-Identifier: Apache-2.0
//
// Keeps what is published of ports up to date: asks each card for its link every kLinkPeriodMs and for its counters
// every kCounterPeriodMs, passes the link on to the kernel twin's carrier, and says in the log when it changes. Of a
// bond it watches the members, has the switches told when packets go through another, and gives cards back that the
// kernel asks for. What workers find of a card that is to put packets before them is told. A twin that somebody has
// deleted is made anew, and one that was given another MAC address gets its card's again. Links are asked for and not
// waited for: not every driver's link interrupt arrives. Main lcore only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/contract/ports.h"
#include "dataplane/device/device.h"
#include "dataplane/device/twin.h"
#include "dataplane/worker/rss_proof.h"

namespace sluice {

class PortWatch {
 public:
  static constexpr uint64_t kLinkPeriodMs = 250;
  static constexpr uint64_t kCounterPeriodMs = 1000;
  static constexpr uint64_t kTwinPauseMs = 5000;  // before a twin is seen to again

  struct Port {
    Device* device = nullptr;
    Twin* twin = nullptr;                   // null = none
    channel::PortStatus* status = nullptr;  // where it is published
    std::span<const RssProof> proofs = {};  // of each worker; empty: it is not to steer
    uint64_t twin_due_ms = 0;               // the twin is not seen to before
  };

  /// `announce` sends a frame by which switches learn where the port of that index is now. `wait_a_round`: see
  /// Bond::let_go().
  PortWatch(std::vector<Port> ports, std::function<void(size_t)> announce, std::function<void()> wait_a_round)
      : ports_(std::move(ports)), announce_(std::move(announce)), wait_a_round_(std::move(wait_a_round)) {}

  /// Does what is due at `now_ms`, of a clock that only goes forward. Returns whether a twin was made anew.
  bool poll(uint64_t now_ms);
  /// The port that cannot go on, as the kernel waits for its card; null = there is none.
  const Device* asked_back() const;

 private:
  void look_at_members(size_t index);
  void look_at_link(Port& port);
  void look_at_steering(const Port& port);
  bool look_at_twin(Port& port, uint64_t now_ms);

  std::vector<Port> ports_;
  std::function<void(size_t)> announce_;
  std::function<void()> wait_a_round_;
  bool looked_ = false;
  uint64_t links_due_ms_ = 0;
  uint64_t counters_due_ms_ = 0;
};

}  // namespace sluice
