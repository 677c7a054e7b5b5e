// SPDX-License-Identifier: Apache-2.0
//
// Reads the counters once a second, in turns of a few milliseconds, and keeps their history, for every service, pool
// and backend of the model, and for all services together.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/base/steps.h"
#include "controlplane/channel/client.h"
#include "controlplane/figures/history.h"
#include "controlplane/model/model.h"

namespace sluice::control {

// Names of subjects in the history.
inline constexpr char kAllServices[] = "total";
std::string subject_of(const ServiceState& service);
std::string subject_of(const Placement& placement);
std::string subject_of(const Member& member);

/// Readings of everything, one behind the other, each in turns: thousands of backends take longer than the loop may be
/// kept from all else.
class HistoryReader {
 public:
  /// All outlive the reader.
  HistoryReader(History& history, const Model& model, const ChannelClient& channel);

  /// Begins a reading, and ends the one before it where it stands.
  void begin(History::Time now);
  /// Goes on until all is read, which is true then, or so much time is over. Where members, placements or services are
  /// others than at the last turn, it begins anew, as of the same time: nothing is read twice.
  bool run(std::chrono::steady_clock::duration at_most);

 private:
  Steps steps();
  void read_service(const ServiceState& service);
  void read_member(const Member& member);
  void read_placement(const Placement& placement);

  History& history_;
  const Model& model_;
  const ChannelClient& channel_;
  Steps steps_;
  History::Time now_;
  uint64_t composition_ = 0;                    // of the model that the steps are for
  std::optional<Totals> all_;                   // of the services so far
  std::vector<std::optional<Totals>> members_;  // those so far
};

class Sampler {
 public:
  /// Both outlive the sampler.
  Sampler(boost::asio::io_context& io, const Model& model, const ChannelClient& channel);

  void start();
  void stop() { timer_.cancel(); }
  const History& history() const { return history_; }

 private:
  void wait_until(std::chrono::steady_clock::time_point when);
  void take_turn();

  History history_;
  HistoryReader reader_;
  boost::asio::steady_timer timer_;
  std::chrono::steady_clock::time_point due_;  // the next reading
  bool reading_ = false;                       // one has been begun, and goes on
};

}  // namespace sluice::control
