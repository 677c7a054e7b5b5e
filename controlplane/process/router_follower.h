// SPDX-License-Identifier: Apache-2.0
//
// Tells the data plane, and operators, of routers towards clients that have moved to another MAC address. What moves
// while the data plane is away is told when it is back. Runs on the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/channel/client.h"
#include "controlplane/kernel/client_routers.h"
#include "controlplane/model/model.h"

namespace sluice::control {

class RouterFollower {
 public:
  static constexpr size_t kMaxWaiting = 64;  // moves, while the data plane is away; the oldest go
  static constexpr std::chrono::milliseconds kRetry{200};
  static constexpr std::chrono::seconds kQuiet{1};  // between two events: a neighbour may flap

  /// Everything outlives this.
  RouterFollower(boost::asio::io_context& io, const Model& model, ChannelClient& channel, Journal& journal);

  /// Our ports from now on.
  void follow(const std::vector<config::Port>& ports);
  void start() { routers_.start(); }
  void stop();

 private:
  void on_moved(const RouterMove& move);
  /// False while the data plane does not take it.
  bool tell(const RouterMove& move);
  void tell_those_that_wait();

  const Model& model_;
  ChannelClient& channel_;
  Journal& journal_;
  boost::asio::steady_timer retry_;
  std::deque<RouterMove> waiting_;
  std::chrono::steady_clock::time_point quiet_until_;
  ClientRouters routers_;
};

}  // namespace sluice::control
