// SPDX-License-Identifier: Apache-2.0
//
// What systemd is told (sd_notify(3)): that control is ready, that it stops, and, as long as the event loop turns, that
// it lives. A loop that hangs feeds no watchdog, and systemd starts control anew. Without a service manager all of it
// does nothing.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

namespace sluice::control {

class ServiceManager {
 public:
  explicit ServiceManager(boost::asio::io_context& io);

  /// Ready; from now on the watchdog, if there is one, is fed by a timer of the loop.
  void ready();
  void stopping();

 private:
  void feed();

  boost::asio::steady_timer timer_;
  std::chrono::microseconds feed_every_{0};  // 0 = there is no watchdog
};

}  // namespace sluice::control
