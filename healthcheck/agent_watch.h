// SPDX-License-Identifier: Apache-2.0
//
// Asks agents again and again, each by a connection of its own at every interval, and tells what they say. Any number
// of keys may share an agent. Bounded: one connection per agent, one deadline for the whole exchange, one short line.
// Everything runs on the executor's thread, the callback included.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "healthcheck/agent_reply.h"

namespace sluice::health {

struct AgentTarget {
  std::string key;  // the caller's name for what the agent speaks for
  config::SocketAddress agent;
  std::chrono::milliseconds interval{5000};  // where keys share an agent, the first one's counts
};

class AgentWatch {
 public:
  using Result = std::expected<AgentReply, std::string>;  // the error: why there is no answer, in words
  using OnResult = std::function<void(const std::string& key, const Result& result)>;

  static constexpr std::chrono::milliseconds kDeadline{3000};  // or the interval, if that is less

  AgentWatch(boost::asio::any_io_executor executor, OnResult on_result);
  ~AgentWatch();
  AgentWatch(const AgentWatch&) = delete;
  AgentWatch& operator=(const AgentWatch&) = delete;

  /// Replaces the targets. Agents that were asked before go on without a break.
  void set_targets(const std::vector<AgentTarget>& targets);

 private:
  class Agent;

  boost::asio::any_io_executor executor_;
  std::shared_ptr<OnResult> on_result_;
  std::map<config::SocketAddress, std::shared_ptr<Agent>> agents_;
};

}  // namespace sluice::health
