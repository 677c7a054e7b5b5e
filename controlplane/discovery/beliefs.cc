// SPDX-License-Identifier: Apache-2.0
#include "controlplane/discovery/beliefs.h"

#include <utility>

namespace sluice::control {

Belief believe(const DiscoveredBackends& known, DiscoveredBackends told, size_t others, double panic_share) {
  Belief out;
  std::vector<std::string> gone;
  for (const auto& [name, discovered] : known) {
    if (!told.contains(name)) gone.push_back(name);
  }
  for (const auto& [name, discovered] : told) {
    const auto before = known.find(name);
    if (before == known.end()) {
      out.joined.push_back(name);
    } else if (before->second.backend != discovered.backend) {
      out.changed.push_back(name);
    }
  }
  const auto all = static_cast<double>(known.size() + others);
  const bool too_many = static_cast<double>(gone.size()) > panic_share * all || (told.empty() && !known.empty());
  out.backends = std::move(told);
  if (!too_many) {
    out.left = std::move(gone);
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
