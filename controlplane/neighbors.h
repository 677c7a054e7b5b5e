// SPDX-License-Identifier: Apache-2.0
//
// Keeps the next hop of every backend address resolved: route and neighbour from the kernel, by rtnetlink. What
// the kernel reports as changed is resolved again; what it does not know it is asked to find out. Runs on one
// io_context; not thread-safe.
//
// Packets of the data plane do not pass the kernel, so it neither learns of a neighbour by them nor confirms one.
// Entries that went stale are therefore used every now and then on purpose, and an entry that merely vanished (garbage
// collection) does not make a backend unreachable: only a failed resolution does, or none within kGrace.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/model.h"
#include "controlplane/member.h"
#include "controlplane/netlink.h"
#include "controlplane/netlink_socket.h"

namespace sluice::control {

class Neighbors {
 public:
  /// Called for each address whose reachability changed, and once for each new one.
  using Changed = std::function<void(const config::IpAddress&, const Reachability&)>;
  /// Trouble that is not a backend's: the kernel refuses a request.
  using Fault = std::function<void(const std::string&)>;

  /// Throws std::system_error if the kernel gives no netlink socket.
  Neighbors(boost::asio::io_context& io, std::vector<config::Port> ports, Changed changed, Fault fault);

  /// The addresses to keep resolved from now on; what is known of those that were followed before stays, and new ones
  /// are reported before this returns. `start()` comes after the first of these.
  void follow(const std::vector<config::IpAddress>& addresses);
  void start();
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  using NeighborKey = std::pair<int, config::IpAddress>;  // link, address

  struct Hop {
    NeighborKey neighbor;  // whom the packet is handed to
    uint8_t port_index = 0;
  };
  struct Target {
    std::expected<Hop, std::string> hop = std::unexpected("not resolved yet");
    std::optional<Reachability> reported;
    std::optional<Clock::time_point> lost;  // when the reported next hop was last known to be good
  };
  /// When the kernel was last asked to resolve, and how long until it is asked again.
  struct Attempt {
    Clock::time_point asked;
    Clock::duration pause{};
  };

  void wait_for_notifications();
  void read_notifications();
  void apply(netlink::Message message);
  void resync();
  void find_hops();
  std::expected<Hop, std::string> find_hop(const config::IpAddress& address);
  void look_up(const config::IpAddress& address, Target& target);
  void settle();
  void settle_touched();
  void settle(const config::IpAddress& address, Target& target);
  Reachability reach(const config::IpAddress& address, const Target& target) const;
  const netlink::Neighbor* find_neighbor(const Target& target) const;
  void nudge(const Target& target, bool is_good);
  void look_again_at_some();
  void arm_timer();
  std::string link_name(int link) const;

  std::vector<config::Port> ports_;
  Changed changed_;
  Fault fault_;
  NetlinkSocket queries_;
  NetlinkSocket notifications_;
  boost::asio::posix::stream_descriptor waiter_;  // over a duplicate of the descriptor of notifications_
  boost::asio::steady_timer timer_;
  bool started_ = false;
  std::string last_fault_;
  std::map<int, netlink::Link> links_;
  std::map<NeighborKey, netlink::Neighbor> neighbors_;
  std::map<NeighborKey, Attempt> attempts_;
  std::map<config::IpAddress, Target> targets_;
  std::set<std::pair<NeighborKey, config::IpAddress>> by_neighbor_;  // targets_ by their next hop
  std::set<NeighborKey> touched_;                                    // notified of since the last settle
  config::IpAddress next_look_;                                      // where the slow round over all targets goes on
  std::vector<netlink::Route> changed_routes_;
  bool links_changed_ = false;
};

}  // namespace sluice::control
