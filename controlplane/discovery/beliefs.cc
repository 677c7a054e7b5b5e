// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/beliefs.h"

#include <algorithm>
#include <utility>

namespace sluice::control {

Belief believe(const DiscoveredBackends& known, DiscoveredBackends told, const Measure& measure) {
  Belief out;
  const bool would_be_empty = told.empty() && measure.others == 0;  // as of a restart of all of them at once
  std::vector<std::string> gone;
  for (const auto& [name, discovered] : known) {
    if (!told.contains(name)) (!would_be_empty && measure.leaving.contains(name) ? out.left : gone).push_back(name);
  }
  for (const auto& [name, discovered] : told) {
    const auto before = known.find(name);
    if (before == known.end()) {
      out.joined.push_back(name);
    } else if (before->second.backend != discovered.backend) {
      out.changed.push_back(name);
    }
  }
  const auto lost_before = static_cast<size_t>(std::ranges::count_if(
      measure.lost, [&](const std::string& name) { return !told.contains(name) && !known.contains(name); }));
  const auto all = static_cast<double>(known.size() + measure.others + lost_before);
  const auto lost = static_cast<double>(gone.size() + lost_before);
  const bool too_many = !gone.empty() && (told.empty() || lost > measure.panic_share * all);
  out.backends = std::move(told);
  if (!too_many) {
    out.left.insert(out.left.end(), gone.begin(), gone.end());
    out.lost = std::move(gone);
    return out;
  }
  for (const std::string& name : gone) {
    const Discovered& before = known.at(name);
    if (!before.missing) out.missing.push_back(name);
    out.backends.emplace(name, before).first->second.missing = true;
  }
  return out;
}

}  // namespace sluice::control
