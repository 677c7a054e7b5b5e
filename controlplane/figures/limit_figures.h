// SPDX-License-Identifier: Apache-2.0
//
// What the workers have counted by sources.limits: what each rule has refused, and which sources are known.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "config/model.h"
#include "controlplane/channel/client.h"

namespace sluice::control {

/// A source that has had sessions lately.
struct LimitedSource {
  uint32_t rule = 0;  // its place among sources.limits
  config::IpPrefix prefix;
  uint32_t open = 0;
  uint32_t per_second = 0;  // sessions that it began in the last whole second
  uint64_t refused = 0;     // since it is known
  bool too_many = false;    // its next connection would be refused, and why
  bool too_fast = false;
};

/// Over all workers, since the rules were others. Nothing while the data plane is not connected.
std::optional<channel::LimitCounters> limit_counters(const ChannelClient& channel, uint32_t rule);

/// Those of `limits` that the data plane knows. Goes over all places: a few milliseconds.
std::vector<LimitedSource> limited_sources(const ChannelClient& channel, const std::vector<config::Limit>& limits,
                                           std::chrono::nanoseconds now);

}  // namespace sluice::control
