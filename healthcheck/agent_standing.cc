// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/agent_standing.h"

#include <fmt/format.h>

#include <tuple>

namespace sluice::health {

bool AgentStanding::on_reply(const AgentReply& reply, Time now) {
  const auto before = std::make_tuple(up_, mode_, share_, max_connections_);
  up_ = reply.up.value_or(up_);
  mode_ = reply.mode.value_or(mode_);
  share_ = reply.share.value_or(share_);
  if (reply.max_connections) max_connections_ = reply.max_connections;
  reason_ = "agent: " + reply.text;
  last_word_ = now;
  return before != std::make_tuple(up_, mode_, share_, max_connections_);
}

bool AgentStanding::on_failure(const std::string& why, std::chrono::milliseconds expiry, Time now) {
  if (!last_word_) {
    if (!is_out()) reason_ = fmt::format("agent: no answer ({})", why);
    return false;
  }
  if (now - *last_word_ < expiry) return false;
  last_word_.reset();
  const bool changed = share_ != 1 || max_connections_;
  share_ = 1;
  max_connections_.reset();
  reason_ = fmt::format("agent: no answer for {} s ({}); {}", expiry.count() / 1000, why,
                        is_out() ? "it had the backend out, which stays" : "its last word is forgotten");
  return changed;
}

}  // namespace sluice::health
