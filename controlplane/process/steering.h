// SPDX-License-Identifier: Apache-2.0
//
// What moves weights while nothing is down: agents on the backends, and the passive judge over the figures of the data
// plane. Both end as factors of the model's members; every change of one is in the journal. Runs on the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/channel/client.h"
#include "controlplane/figures/figures.h"
#include "controlplane/model/model.h"
#include "controlplane/weights/passive_judge.h"
#include "healthcheck/agent_standing.h"
#include "healthcheck/agent_watch.h"

namespace sluice::control {

/// What a member's counters say, as totals.
PassiveSample passive_sample(const channel::SmtpCounters& totals);

class Steering {
 public:
  /// How long the last percentage of a silent agent counts, in its intervals.
  static constexpr int kAgentExpiryIntervals = 12;

  /// `changed` is called when a factor has changed: to be published. Everything outlives this.
  Steering(boost::asio::io_context& io, Model& model, const ChannelClient& channel, Journal& journal,
           std::function<void()> changed);

  /// Steers by `config`, from which `model` was made. To be called again when both were replaced; what is known of
  /// members, pools and agents that stay is kept.
  void follow(const config::Config& config);
  void stop();

 private:
  /// A backend's agent, which speaks for all its members.
  struct Agent {
    health::AgentStanding standing;
    std::chrono::milliseconds expiry{};
    std::vector<size_t> members;  // index into the model's
    std::string fault;            // that was told last; "" = it answers
  };
  /// Members that are judged together: those of a pool on a port under a check.
  struct Group {
    PassiveJudge::Rules rules;
    std::vector<size_t> members;
    std::chrono::steady_clock::time_point due;
  };

  void follow_agents(const config::Config& config);
  void follow_groups(const config::Config& config);
  void on_agent(const std::string& backend, const health::AgentWatch::Result& result);
  void apply(const Agent& agent);
  void tick();
  void wait();
  void judge(Group& group);
  PassiveSample sample_of(const Member& member);
  void set_factor(size_t member, Factor Member::* which, const char* name, Factor factor);

  Model& model_;
  const ChannelClient& channel_;
  Journal& journal_;
  std::function<void()> changed_;
  boost::asio::steady_timer timer_;
  std::map<std::string, Agent> agents_;  // by "pool/name"
  health::AgentWatch agent_watch_;
  std::vector<Group> groups_;
  PassiveJudge judge_;
  std::unordered_map<uint64_t, PassiveSample> totals_;  // by key of the member, when it was sampled last
};

}  // namespace sluice::control
