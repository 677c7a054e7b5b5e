// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/limit_watch.h"

#include <fmt/format.h>

#include "controlplane/changes/limits.h"

namespace sluice::control {

void LimitWatch::tick(const std::vector<config::Limit>& limits, const std::vector<uint64_t>& refused) {
  if (refused.size() != limits.size()) return;
  rules_.resize(limits.size());
  for (size_t i = 0; i < limits.size(); i++) {
    Rule& rule = rules_[i];
    if (rule.limit != limits[i]) rule = {limits[i], refused[i], refused[i], {}};
    if (refused[i] < rule.refused) rule.refused = rule.refused_before = 0;  // the data plane counts from the beginning
    const std::string name = fmt::format("limit {}", i + 1);
    if (refused[i] > rule.refused) {
      if (!rule.last) {
        rule.refused_before = rule.refused;
        journal_.record(Severity::kWarning, "sources", name,
                        "rate-limited: refuses connections; " + in_words(limits[i]));
      }
      rule.last = journal_.now();
      rule.refused = refused[i];
    } else if (rule.last && journal_.now() - *rule.last >= kCalm) {
      journal_.record(Severity::kInfo, "sources", name,
                      fmt::format("refuses no more connections; it refused {}", rule.refused - rule.refused_before));
      rule.last.reset();
    }
  }
}

std::vector<uint64_t> refused_by_limits(const ChannelClient& channel, size_t rules) {
  std::vector<uint64_t> out;
  for (uint32_t rule = 0; rule < rules; rule++) {
    const auto counters = limit_counters(channel, rule);
    if (!counters) return {};
    out.push_back(counters->refused_connections + counters->refused_rate + counters->cut);
  }
  return out;
}

}  // namespace sluice::control
