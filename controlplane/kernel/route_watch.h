// SPDX-License-Identifier: Apache-2.0
//
// Watches what the workers may route in the kernel's place: its routes and neighbours, and whether it would pass
// packets on at all, and without a say in it. Where it would not, or somebody has a say, the work stays its own, and
// the reason is told. Packets of the data plane do not pass the kernel, so the neighbour entries that are in use and
// have gone stale are used on purpose every now and then. Runs on one io_context; not thread-safe.
//
// All is read anew after a change, which is waited out for a moment; where there is so much that it takes long, reading
// takes no more than a twentieth of the time. Where there are more routes than the workers have room for, as with a
// full table of BGP, reading ends as soon as that is known, and begins again after kRest. Settings and firewalls tell
// of no change: they are looked at each kLook. Some routes go without a word (their nexthop object was removed): all is
// read each kRefresh.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "config/model.h"
#include "controlplane/kernel/netlink_socket.h"
#include "controlplane/kernel/server_routes.h"

namespace sluice::control {

/// Who routes the mail servers' own traffic, and by what.
struct RoutingFacts {
  ServerRoutes routes;      // table null: none
  RoutedFamilies families;  // that the workers route
  std::string why_not_v4;   // the workers do not; "" = they do
  std::string why_not_v6;

  bool by_workers() const { return families.v4 || families.v6; }
};

class RouteWatch {
 public:
  /// Called when anything of the facts has changed.
  using Changed = std::function<void(const RoutingFacts&)>;

  static constexpr std::chrono::seconds kLook{1};
  static constexpr std::chrono::milliseconds kDelay{50};
  static constexpr std::chrono::seconds kRefresh{10};
  static constexpr std::chrono::seconds kRest{60};
  static constexpr size_t kRefreshed = 256;  // entries that are used on purpose at a time

  /// `proc`: where /proc is. Throws std::system_error if the kernel gives no netlink socket.
  RouteWatch(boost::asio::io_context& io, Changed changed, std::string proc = "/proc");

  /// Whether to, and our ports by their twins, from now on.
  void follow(config::ServerRouting rule, RouteWays ways);
  void start();
  void stop();
  const RoutingFacts& facts() const { return facts_; }

 private:
  using Clock = std::chrono::steady_clock;

  void wait_for_notifications();
  void wait();
  void tick();
  /// Looks at the settings and at who has a say; true if something changed.
  bool look();
  std::optional<std::string> who_has_a_say();
  std::optional<std::string> policy_routing();
  std::string why_not(bool v4) const;
  RoutedFamilies allowed() const;
  void survey();
  /// What the kernel has of families; empty: it does not say. The error says what there is too much of.
  std::expected<std::optional<KernelRoutes>, std::string> read(RoutedFamilies families) const;
  void settle(ServerRoutes routes);
  void refresh();

  Changed changed_;
  std::string proc_;
  config::ServerRouting rule_ = config::ServerRouting::kAuto;
  RouteWays ways_;
  NetlinkSocket queries_;
  NetlinkSocket notifications_;
  boost::asio::posix::stream_descriptor waiter_;  // over a duplicate of the descriptor of notifications_
  boost::asio::steady_timer timer_;
  bool started_ = false;
  bool due_ = true;  // a survey
  Clock::time_point not_before_;
  Clock::time_point next_look_, next_refresh_;
  size_t refreshed_ = 0;  // of the entries in use: where the next round goes on
  // Who has a say in packets that the kernel passes on; "" = nobody, empty: it was not asked, or has not told yet.
  std::optional<std::string> interference_;
  std::string too_much_;  // what there is too much of
  RoutingFacts facts_;
};

}  // namespace sluice::control
