// SPDX-License-Identifier: Apache-2.0
//
// What an agent's words add up to. A word stands until another takes it back: "down" until "up", "drain" and "maint"
// until "ready", a percentage until the next one. Of an agent that falls silent the percentage is forgotten after a
// while, as load changes; that it took the backend out stays, as somebody wanted it so. Pure, time injected.
#pragma once

#include <chrono>
#include <string>

#include "healthcheck/agent_reply.h"

namespace sluice::health {

class AgentStanding {
 public:
  using Time = std::chrono::system_clock::time_point;

  /// The agent has answered. True if anything changes by it.
  bool on_reply(const AgentReply& reply, Time now);
  /// It could not be asked, or made no sense. True if anything changes by it: when `expiry` has passed since its last
  /// good word.
  bool on_failure(const std::string& why, std::chrono::milliseconds expiry, Time now);

  /// Of the weight: 0 while the agent has the backend out.
  double share() const { return is_out() ? 0 : share_; }
  bool is_out() const { return !up_ || mode_ != AgentMode::kReady; }
  bool up() const { return up_; }
  AgentMode mode() const { return mode_; }
  /// Nothing: the agent does not say.
  std::optional<uint32_t> max_connections() const { return max_connections_; }
  /// "agent: up 75%", "agent: no answer (connection refused)"; "" before the first word.
  const std::string& reason() const { return reason_; }

 private:
  bool up_ = true;
  AgentMode mode_ = AgentMode::kReady;
  double share_ = 1;
  std::optional<uint32_t> max_connections_;
  std::string reason_;
  std::optional<Time> last_word_;  // not expired
};

}  // namespace sluice::health
