// SPDX-License-Identifier: Apache-2.0
//
// Keeps the kernel's routes that stand for announced VIPs: one blackhole route (it leads nowhere, and depends on no
// device) for each in a table of our own, which BIRD or FRR read. Exactly these: what bears our protocol number in our
// table and is not wanted goes, as after a crash; what others took away is made again; what does not bear it, or lies
// in another table, is never touched. Where routes of ours may lie is kept in the state directory, so that none is left
// behind where the configuration has changed meanwhile.
//
// A VIP whose metric changes gets the new route before it loses the old one: BIRD never sees it without. In a table
// that FRR can import it is the other way round, in one request: FRR 8.4 forgets a prefix of such a table with the
// removal of any route to it.
//
// Runs on one io_context; not thread-safe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <compare>
#include <cstdint>
#include <expected>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/announce/upkeep.h"
#include "controlplane/base/journal.h"
#include "controlplane/kernel/netlink.h"
#include "controlplane/kernel/netlink_socket.h"

namespace sluice::control {

struct VipRoute {
  config::IpAddress vip;
  uint32_t metric = 0;
  friend auto operator<=>(const VipRoute&, const VipRoute&) = default;
};

class VipRoutes {
 public:
  static constexpr uint32_t kLastTableOfFrr = 252;  // that it can import

  /// Which routes are ours.
  struct Place {
    uint32_t table = 0;
    uint8_t protocol = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };

  /// The journal outlives this. Throws std::system_error if the kernel gives no netlink socket.
  VipRoutes(boost::asio::io_context& io, Journal& journal, const std::string& state_directory);

  /// Takes up the place; what an earlier process left there is returned, and stays until the first want().
  std::set<VipRoute> start(std::optional<Place> place);
  void stop() { upkeep_.stop(); }
  /// After a reload: routes move to another place with no gap. Nothing: there are none any more.
  void follow(std::optional<Place> place);
  /// The routes to be there from now on.
  void want(std::set<VipRoute> routes);
  /// To be called every second: tries again what the kernel has refused.
  void tick() { upkeep_.tick(); }

  /// What the kernel has refused, in words; "" = nothing.
  const std::string& fault() const { return upkeep_.fault(); }
  /// Routes that others had taken away, and that were made again.
  uint64_t remade() const { return upkeep_.remade(); }

 private:
  bool concerns_us(const netlink::Message& message) const;
  std::expected<std::vector<netlink::Route>, std::string> list(const Place& place);
  void remember();
  std::optional<std::string> settle();
  void settle_former(std::string& fault);
  /// "" or what the kernel has refused.
  std::string settle(const Place& place, const std::set<VipRoute>& wanted);
  /// In place of `others`, which go first.
  std::string make(const Place& place, const VipRoute& route, const std::vector<netlink::Route>& others);
  std::string remove(const netlink::Route& route);

  Journal& journal_;
  std::string path_;
  NetlinkSocket queries_;
  std::optional<Place> place_;
  std::vector<Place> former_;                 // to be cleared
  std::optional<std::set<VipRoute>> wanted_;  // nothing: not known yet
  std::set<VipRoute> made_;                   // at place_, as we left them
  Upkeep upkeep_;
};

}  // namespace sluice::control
