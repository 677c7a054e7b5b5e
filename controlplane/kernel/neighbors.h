// SPDX-License-Identifier: Apache-2.0
//
// Keeps the next hop of every backend address resolved: route and neighbour from the kernel, by rtnetlink. What
// the kernel reports as changed is resolved again; what it does not know it is asked to find out. Runs on one
// io_context; not thread-safe.
//
// Packets of the data plane do not pass the kernel, so it neither learns of a neighbour by them nor confirms one.
// Entries that went stale are therefore used every now and then on purpose, and an entry that merely vanished (garbage
// collection) does not make a backend unreachable: only a failed resolution does, or none within kGrace. While a port's
// link is down the kernel forgets all neighbours behind it; that says nothing about them, and their next hops stay.
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
#include "controlplane/kernel/netlink.h"
#include "controlplane/kernel/netlink_socket.h"
#include "controlplane/kernel/next_hop.h"

namespace sluice::control {

class Neighbors {
 public:
  /// Called for each address whose reachability changed, and once for each new one.
  using Changed = std::function<void(const config::IpAddress&, const Reachability&)>;
  /// Trouble that is not a backend's: the kernel refuses a request.
  using Fault = std::function<void(const std::string&)>;

  /// Called for each port whose twin came up or went down, and once for each at the start.
  using TwinChanged = std::function<void(const std::string& twin, bool up)>;

  /// Throws std::system_error if the kernel gives no netlink socket.
  Neighbors(boost::asio::io_context& io, std::set<std::string> twins, Changed changed, Fault fault);

  /// The addresses to keep resolved from now on; what is known of those that were followed before stays, and new ones
  /// are reported before this returns. `start()` comes after the first of these.
  void follow(const std::vector<config::IpAddress>& addresses);
  /// The twins of our ports from now on: every route through one of them leads out of a port.
  void follow_twins(std::set<std::string> twins);
  /// The twins whose ports have no link now.
  void set_links_down(std::set<std::string> twins);
  /// MAC address of an interface; nothing if there is none of that name.
  std::optional<MacAddress> mac_of(const std::string& interface) const;
  void start();
  void stop();
  void set_on_twin(TwinChanged twin_changed) { twin_changed_ = std::move(twin_changed); }

  /// Whether a route leads to an address that is followed, out of one of our ports.
  bool has_route(const config::IpAddress& address) const;

 private:
  using Clock = std::chrono::steady_clock;
  using NeighborKey = std::pair<int, config::IpAddress>;  // link, address

  struct Hop {
    NeighborKey neighbor;  // whom the packet is handed to
    std::string twin;
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
  /// Reads links and neighbours anew. What is known stays until all of it was read, which is tried again then.
  void resync();
  void report_twins();
  void tell_fault(std::string text);
  void find_hops();
  /// The kernel's word now; what is known of `target` if the kernel cannot be asked.
  std::expected<Hop, std::string> find_hop(const config::IpAddress& address, const Target& target);
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

  std::set<std::string> twins_;
  std::set<std::string> down_;  // of these, those without a link
  Changed changed_;
  Fault fault_;
  TwinChanged twin_changed_;
  std::map<std::string, bool> reported_up_;  // by twin
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
  std::optional<Clock::time_point> resync_due_;  // the last one failed
};

}  // namespace sluice::control
