// SPDX-License-Identifier: Apache-2.0
//
// Watches which addresses the kernel has on the twins of ports that face backends: what fullnat and tunnels speak from.
// VIPs and link-local addresses are not among them. One that vanishes is believed to be gone only after kGrace: flows
// hang on it, and an interface that is taken down and up again loses its addresses for a moment. Runs on one
// io_context; not thread-safe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <compare>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/kernel/netlink_socket.h"

namespace sluice::control {

/// An address of ours towards the backends behind the port with that twin, or one of another node's.
struct LocalAddress {
  std::string twin;  // "" of another node's, whether the kernel has it for now or not
  config::IpAddress address;

  bool is_of_peer() const { return twin.empty(); }
  friend auto operator<=>(const LocalAddress&, const LocalAddress&) = default;
};

class LocalAddresses {
 public:
  /// Called with all of them, sorted, whenever they change.
  using Changed = std::function<void(const std::vector<LocalAddress>&)>;

  static constexpr std::chrono::seconds kGrace{5};

  /// Throws std::system_error if the kernel gives no netlink socket.
  LocalAddresses(boost::asio::io_context& io, Changed changed);

  /// Those that an earlier process knew are missed from now on, if the kernel has not got them. Before `follow()`.
  void presume(const std::vector<LocalAddress>& earlier);
  /// The ports and VIPs to go by from now on. `start()` comes after the first of these.
  void follow(const config::Config& config);
  void start();
  void stop();

 private:
  using Clock = std::chrono::steady_clock;

  void wait_for_notifications();
  void survey();
  void survey_later();
  void settle();

  std::set<std::string> twins_;          // of ports that face backends
  std::vector<config::IpAddress> vips_;  // sorted
  std::set<config::IpAddress> of_peers_;
  Changed changed_;
  NetlinkSocket queries_;
  NetlinkSocket notifications_;
  boost::asio::posix::stream_descriptor waiter_;  // over a duplicate of the descriptor of notifications_
  boost::asio::steady_timer timer_;
  std::map<LocalAddress, std::optional<Clock::time_point>> known_;  // with when it was first missed
  std::vector<LocalAddress> reported_;
};

}  // namespace sluice::control
