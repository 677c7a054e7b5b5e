// SPDX-License-Identifier: Apache-2.0
//
// Control's watch over the ports: what the data plane publishes of them is read every kPeriod and bound to those of our
// configuration; the model hears what may be sent through, neighbours hear of links, and the journal of both.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/base/journal.h"
#include "controlplane/channel/client.h"
#include "controlplane/kernel/neighbors.h"
#include "controlplane/model/model.h"
#include "controlplane/model/ports.h"

namespace sluice::control {

class Ports {
 public:
  static constexpr std::chrono::milliseconds kPeriod{250};

  Ports(boost::asio::io_context& io, Model& model, const ChannelClient& channel, Neighbors& neighbors, Journal& journal,
        std::function<void()> changed);

  /// Who hears of links that go and come, by the port's name.
  void set_on_link(std::function<void(const std::string& port, bool up)> on_link) { on_link_ = std::move(on_link); }

  /// Our ports from now on, bound at once if the data plane is there.
  void follow(std::vector<config::Port> ours);
  void start();
  void stop();
  /// Reads what is published and passes on what has changed. While there is no connection the last stands.
  void look();

 private:
  void wait();
  void tell_differences(const std::vector<BoundPort>& before, const std::vector<BoundPort>& now);
  void tell_moments(const std::vector<PublishedPort>& theirs);
  void tell_members(const std::vector<PublishedPort>& theirs);
  void tell_steering(const std::vector<PublishedPort>& theirs);

  Model& model_;
  const ChannelClient& channel_;
  Neighbors& neighbors_;
  Journal& journal_;
  std::function<void()> changed_;  // the model has to be published
  std::function<void(const std::string& port, bool up)> on_link_ = [](const std::string&, bool) {};
  boost::asio::steady_timer timer_;
  std::vector<config::Port> ours_;
  // When last looked at.
  std::map<std::string, uint64_t> link_changes_;                      // by name
  std::map<std::pair<std::string, std::string>, bool> member_links_;  // of bonds, by the port's name and the device
  std::map<std::string, channel::Steering> steering_;                 // by name
};

}  // namespace sluice::control
