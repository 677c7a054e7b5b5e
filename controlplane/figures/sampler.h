// SPDX-License-Identifier: Apache-2.0
//
// Reads the counters once a second and keeps their history, for every service, pool and backend of the model, and for
// all services together.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "controlplane/channel/client.h"
#include "controlplane/figures/history.h"
#include "controlplane/model/model.h"

namespace sluice::control {

// Names of subjects in the history.
inline constexpr char kAllServices[] = "total";
std::string subject_of(const ServiceState& service);
std::string subject_of(const Placement& placement);
std::string subject_of(const Member& member);

/// One reading of everything.
void read_all(History& history, const Model& model, const ChannelClient& channel, History::Time now);

class Sampler {
 public:
  /// Both outlive the sampler.
  Sampler(boost::asio::io_context& io, const Model& model, const ChannelClient& channel);

  void start();
  void stop() { timer_.cancel(); }
  const History& history() const { return history_; }

 private:
  void wait();

  const Model& model_;
  const ChannelClient& channel_;
  History history_;
  boost::asio::steady_timer timer_;
};

}  // namespace sluice::control
