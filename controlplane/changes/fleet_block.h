// SPDX-License-Identifier: Apache-2.0
//
// A prefix that an operator blocked on all nodes. Plain data, its form in etcd, and that in the state directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>

#include "config/model.h"
#include "controlplane/changes/blocks.h"

namespace sluice::control {

struct FleetBlock {
  Block block;
  std::string node;      // where it was said
  std::string who;       // and by whom, in words
  int64_t revision = 0;  // by which it is known whether another was said meanwhile

  friend bool operator==(const FleetBlock&, const FleetBlock&) = default;
};

using FleetBlockEntries = std::map<config::IpPrefix, FleetBlock>;

/// So many at most, as all of them are told to every node every few seconds.
inline constexpr size_t kMostFleetBlocks = 1000;

/// All that is said for all nodes now.
struct FleetBlocksHeard {
  FleetBlockEntries entries;
  std::map<config::IpPrefix, int64_t> revisions;  // also of what is over, or makes no sense
};

/// As JSON, without its revision.
std::string to_text(const FleetBlock& block);
/// With their revisions, of version 1.
std::string to_text(const FleetBlockEntries& entries);

/// The error says why `text` is not what `to_text` gives.
std::expected<FleetBlock, std::string> fleet_block_from(std::string_view text);
std::expected<FleetBlockEntries, std::string> fleet_blocks_from(std::string_view text);

}  // namespace sluice::control
