// SPDX-License-Identifier: Apache-2.0
//
// Backends of our own zone first, and those of others when it is short: of backends, or of connections that they may
// have.
#include <fmt/format.h>

#include "controlplane/model/model.h"
#include "controlplane/weights/zone.h"

namespace sluice::control {

void Model::prefer_own_zone(Placement& placement) {
  ZoneWeights weights;
  size_t full = 0;  // of our zone
  for (const size_t i : placement.members) {
    const Member& member = members_[i];
    if (member.tier.value <= 0 || member.removal) continue;
    if (member.is_elsewhere) {
      weights.other_usable += member.own_weight();
      continue;
    }
    weights.own_meant += member.weight_by_hand.value_or(member.weight) * member.warm_up.value;
    if (!member.fullness.is_full()) {
      weights.own_usable += member.own_weight();
    } else if (member.own_weight() > 0) {
      full++;
    }
  }
  const double factor = other_zones_factor(weights, placement.zone_headroom);
  const std::string of_full = full == 0 ? "" : fmt::format("; {} of its backends near max_connections", full);
  for (const size_t i : placement.members) {
    Member& member = members_[i];
    member.zone_factor = {};
    if (!member.is_elsewhere || (factor >= 1 && full == 0)) continue;
    member.zone_factor = {
        factor, factor <= 0 ? fmt::format("in zone {}, and {} carries everything", member.zone, own_zone_)
                            : fmt::format("in zone {}, and {} is short: {:.0f} of {:.0f} weight left{}", member.zone,
                                          own_zone_, weights.own_usable, weights.own_meant, of_full)};
  }
}

bool Model::note_fullness(const FlowCounts& flows) {
  if (own_zone_.empty()) return false;
  bool changed = false;
  for (Member& member : members_) {
    const auto open = flows.of_member(member);
    const uint32_t most = member.most_connections();
    if (!open || !member.fullness.update(*open, most, journal_->now())) continue;
    journal_->record(Severity::kInfo, "backend", member.label(),
                     fmt::format("{}: {} of {} connections",
                                 member.fullness.is_full() ? "near max_connections" : "has room again", *open, most));
    changed = true;
  }
  return changed;
}

}  // namespace sluice::control
