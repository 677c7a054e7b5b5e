// SPDX-License-Identifier: Apache-2.0
//
// Watches the stations through which clients are reached: the kernel's neighbours on the twins of ports that face
// clients. When an address among them turns up at another MAC address (VRRP, a firewall pair), the data plane has to
// know, as a client that is silent does not tell it. Packets of the data plane do not pass the kernel, so the entries
// of gateways are used on purpose every now and then. Runs on one io_context; not thread-safe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "config/model.h"
#include "controlplane/kernel/netlink.h"
#include "controlplane/kernel/netlink_socket.h"

namespace sluice::control {

/// An address behind a twin that has moved from one MAC address to another.
struct RouterMove {
  std::string twin;
  config::IpAddress address;
  MacAddress from;
  MacAddress to;
};

class ClientRouters {
 public:
  using Moved = std::function<void(const RouterMove&)>;

  static constexpr size_t kMaxGateways = 64;  // whose entries are kept alive

  /// Throws std::system_error if the kernel gives no netlink socket.
  ClientRouters(boost::asio::io_context& io, Moved moved);

  /// The twins of ports that face clients, from now on.
  void follow(std::set<std::string> twins);
  void start();
  void stop();

 private:
  using Station = std::pair<std::string, config::IpAddress>;  // twin, address

  void wait_for_notifications();
  void wait_for_next_round();
  void read_notifications();
  /// Learns all anew from the kernel; what is known of MAC addresses stays.
  void survey();
  void apply(const netlink::Message& message);
  void apply(const netlink::Link& link);
  void apply(const netlink::Neighbor& neighbor);
  void apply(const netlink::Route& route);
  void add_gateway(int link, const std::optional<config::IpAddress>& gateway);
  void use(int link, const Station& gateway);
  void use_gateways();

  Moved moved_;
  std::set<std::string> twins_;
  bool is_stale_ = false;  // the last survey failed: the next round begins with another
  NetlinkSocket queries_;
  NetlinkSocket notifications_;
  boost::asio::posix::stream_descriptor waiter_;  // over a duplicate of the descriptor of notifications_
  boost::asio::steady_timer timer_;
  bool started_ = false;
  std::map<int, std::string> links_;  // the twins that are there, by index
  std::map<Station, MacAddress> macs_;
  std::set<Station> gateways_;
  std::set<Station> fixed_;  // entries that are not to be used on purpose
};

}  // namespace sluice::control
