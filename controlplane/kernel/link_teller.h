// SPDX-License-Identifier: Apache-2.0
//
// Tells the stations of a link that an address is here now: at once, and again after kAgainAfter, as the first may meet
// a port that does not forward yet, or be lost. Needs CAP_NET_RAW, when something is to be told. Runs on one
// io_context; not thread-safe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <string>

#include "config/model.h"
#include "controlplane/base/descriptor.h"
#include "dataplane/contract/address.h"

namespace sluice::control {

class LinkTeller {
 public:
  static constexpr std::chrono::seconds kAgainAfter{1};

  explicit LinkTeller(boost::asio::io_context& io);

  /// That `address` is at `mac`, to the interface with index `link`. "" or why it could not be told.
  std::string tell(int link, const MacAddress& mac, const config::IpAddress& address);
  /// It is not there any more: what was to be told again is not.
  void forget(int link, const config::IpAddress& address);
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Again {
    Clock::time_point due;
    int link = 0;
    MacAddress mac;
    config::IpAddress address;
  };

  std::string send(int link, const MacAddress& mac, const config::IpAddress& address);
  void wait();

  Descriptor socket_;  // opened with the first word
  boost::asio::steady_timer timer_;
  std::deque<Again> again_;  // by time
};

}  // namespace sluice::control
