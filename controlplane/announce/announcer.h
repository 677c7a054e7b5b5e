// SPDX-License-Identifier: Apache-2.0
//
// The front door, put together: facts of the model and the operator's wish make decisions (announcement.h), decisions
// make routes (vip_routes.h) or addresses (vip_addresses.h). Until it is known how the node is, what an earlier process
// announced stays, so that a restart of control is no event for the network; and it stays when control stops, as
// packets go on. Runs on the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "config/model.h"
#include "controlplane/announce/announcement.h"
#include "controlplane/announce/node_drain.h"
#include "controlplane/announce/vip_addresses.h"
#include "controlplane/announce/vip_routes.h"
#include "controlplane/base/journal.h"
#include "controlplane/model/model.h"

namespace sluice::control {

class Announcer {
 public:
  struct Hooks {
    /// Why packets to VIPs are lost here; "" = they are not; nothing: that is not known yet.
    std::function<std::optional<std::string>()> fault;
    /// Of all services; nothing while the data plane does not say.
    std::function<std::optional<NodeDrain::Flows>()> flows;
  };

  /// Everything outlives this. Throws std::system_error if the kernel gives no netlink socket.
  Announcer(boost::asio::io_context& io, const Model& model, Journal& journal, const std::string& state_directory,
            Hooks hooks);

  void start(const config::Config& config);
  void stop();
  /// The configuration was reloaded, or the data plane runs with other ports.
  void follow(const config::Config& config);
  /// A fact has changed, of the model or of the node.
  void update();
  /// To be called every second.
  void tick();
  /// The clock was set: a drain of the node goes on as before.
  void move_times(SystemTime::duration by) { node_.move_times(by); }
  /// The link of the port with that twin has come back.
  void on_link_back(const std::string& twin) { addresses_.tell_again(twin); }

  /// As NodeDrain has them.
  std::expected<std::string, std::string> drain(std::optional<std::chrono::seconds> deadline);
  std::expected<std::string, std::string> undrain();

  const config::Announce& config() const { return config_; }
  const Announcement& announcement() const { return announcement_; }
  const NodeDrain& node() const { return node_; }
  const VipRoutes& routes() const { return routes_; }
  const VipAddresses& addresses() const { return addresses_; }
  /// What the kernel has refused, in words; "" = nothing.
  const std::string& fault() const { return routes_.fault().empty() ? addresses_.fault() : routes_.fault(); }

 private:
  void adopt(const std::set<VipRoute>& routes);
  void adopt(const std::set<config::IpAddress>& addresses);
  std::set<VipRoute> wanted_routes() const;
  VipAddresses::Wanted wanted_addresses() const;
  void wait_for_step();

  const Model& model_;
  Hooks hooks_;
  config::Announce config_;
  Announcement announcement_;
  NodeDrain node_;
  VipRoutes routes_;
  VipAddresses addresses_;
  boost::asio::steady_timer step_;  // when a hold-down ends
};

/// Removes every route and address that announces a VIP of this configuration, where nothing forwards any more. The
/// error: what the kernel refuses.
std::expected<void, std::string> withdraw_all(const config::Config& config);

}  // namespace sluice::control
