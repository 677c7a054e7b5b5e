// SPDX-License-Identifier: Apache-2.0
//
// Tells by events when a rule of sources.limits begins to refuse connections, and when it has refused none for a while.
// One thread; time is the journal's.
#pragma once

#include <vector>

#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/figures/limit_figures.h"

namespace sluice::control {

class LimitWatch {
 public:
  static constexpr std::chrono::seconds kCalm{30};  // without a refusal, until it has stopped

  explicit LimitWatch(Journal& journal) : journal_(journal) {}

  /// To be called every second: what each rule has refused so far. `limits` and `refused` have the same size.
  void tick(const std::vector<config::Limit>& limits, const std::vector<uint64_t>& refused);

 private:
  struct Rule {
    config::Limit limit;
    uint64_t refused = 0;
    uint64_t refused_before = 0;  // when it began to refuse
    std::optional<SystemTime> last;
  };

  Journal& journal_;
  std::vector<Rule> rules_;
};

/// What each rule has refused, all causes together; empty while the data plane is not connected.
std::vector<uint64_t> refused_by_limits(const ChannelClient& channel, size_t rules);

}  // namespace sluice::control
