// SPDX-License-Identifier: Apache-2.0
//
// When to look after what we keep in the kernel: as it notifies of a change, every kLookEvery, and each second while it
// refuses something. Whoever undoes our work as fast as we do it does not keep us busy. The journal hears of refusals
// and of what was made again. Runs on one io_context; not thread-safe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "controlplane/base/journal.h"
#include "controlplane/kernel/netlink.h"
#include "controlplane/kernel/netlink_socket.h"

namespace sluice::control {

class Upkeep {
 public:
  static constexpr std::chrono::seconds kLookEvery{10};  // whether all is there, notifications or not

  struct Hooks {
    /// Whether a notification may be of what is ours.
    std::function<bool(const netlink::Message&)> concerns_us;
    /// Makes what is there what is wanted. "" or what the kernel has refused; nothing: it is not known what is wanted.
    std::function<std::optional<std::string>()> settle;
  };

  /// `groups`: RTMGRP_* bits to be notified of; `subject`: what is kept, as the journal calls it. The journal outlives
  /// this. Throws std::system_error if the kernel gives no netlink socket.
  Upkeep(boost::asio::io_context& io, Journal& journal, uint32_t groups, std::string subject, Hooks hooks);

  void start();
  void stop();
  /// Now.
  void settle();
  /// To be called every second.
  void tick();
  /// Others had taken away so many, which have been made again.
  void count_remade(size_t remade);

  /// What the kernel has refused, in words; "" = nothing.
  const std::string& fault() const { return fault_; }
  uint64_t remade() const { return remade_; }

 private:
  using Clock = std::chrono::steady_clock;

  void wait_for_notifications();
  void read_notifications();

  Journal& journal_;
  std::string subject_;
  Hooks hooks_;
  NetlinkSocket notifications_;
  boost::asio::posix::stream_descriptor waiter_;  // over a duplicate of the descriptor of notifications_
  std::string fault_;
  Clock::time_point looked_;
  Clock::time_point last_remade_;
  uint64_t remade_ = 0;
};

}  // namespace sluice::control
