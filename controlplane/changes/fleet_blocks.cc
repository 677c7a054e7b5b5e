// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/fleet_blocks.h"

#include <fmt/format.h>

#include <utility>

#include "controlplane/base/kept_state.h"

namespace sluice::control {

FleetBlocks::FleetBlocks(Journal& journal, const std::string& directory)
    : journal_(journal), path_(directory + "/fleet-blocks.json") {}

void FleetBlocks::restore() {
  if (auto entries = kept_state(journal_, path_, fleet_blocks_from, "they are heard again from etcd"))
    entries_ = std::move(*entries);
  for (const auto& [prefix, block] : entries_) revisions_.emplace(prefix, block.revision);
  tick();  // what expired meanwhile
}

bool FleetBlocks::hear(FleetBlocksHeard heard) {
  revisions_ = std::move(heard.revisions);
  std::erase_if(heard.entries, [this](const auto& entry) { return is_over(entry.second); });
  if (heard.entries == entries_) return false;
  const FleetBlockEntries before = std::exchange(entries_, std::move(heard.entries));
  keep_state(journal_, path_, to_text(entries_));
  bool changed = false;
  for (const auto& [prefix, block] : entries_) {
    const auto known = before.find(prefix);
    changed |= known == before.end();
    if (known != before.end() && known->second.block == block.block) continue;
    const std::string until = block.block.until ? " until " + to_rfc3339(*block.block.until) : "";
    record(prefix, fmt::format("blocked on all nodes{} ({} at {})", until, block.who, block.node));
  }
  for (const auto& [prefix, block] : before) {
    if (entries_.contains(prefix)) continue;
    changed = true;
    record(prefix, "no longer blocked on all nodes");
  }
  return changed;
}

bool FleetBlocks::tick() {
  const size_t before = entries_.size();
  std::erase_if(entries_, [this](const auto& entry) {
    if (!is_over(entry.second)) return false;
    record(entry.first, "no longer blocked on all nodes: its time is up");
    return true;
  });
  if (entries_.size() == before) return false;
  keep_state(journal_, path_, to_text(entries_));
  return true;
}

int64_t FleetBlocks::revision_of(const config::IpPrefix& prefix) const {
  const auto known = revisions_.find(prefix);
  return known == revisions_.end() ? 0 : known->second;
}

bool FleetBlocks::is_over(const FleetBlock& block) const {
  return block.block.until && *block.block.until <= journal_.now();
}

void FleetBlocks::record(const config::IpPrefix& prefix, std::string text) {
  journal_.record(Severity::kInfo, "sources", prefix.to_string(), std::move(text));
}

}  // namespace sluice::control
