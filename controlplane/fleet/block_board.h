// SPDX-License-Identifier: Apache-2.0
//
// What operators blocked on all nodes: the key PREFIX/blocks/PREFIX_OF_ADDRESSES holds one, such as
// /sluice/mx/blocks/192.0.2.0/24. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controlplane/changes/fleet_block.h"
#include "controlplane/fleet/etcd_messages.h"
#include "controlplane/fleet/fenced_change.h"

namespace sluice::control {

struct BlockChange {
  config::IpPrefix prefix;
  int64_t revision = 0;             // of what is said now; 0 = nothing is
  std::optional<FleetBlock> block;  // nothing: no more
};

/// What the keys below `prefix`, "/sluice/mx/blocks/", say; and which of them make no sense: these block nobody. Of
/// more than kMostFleetBlocks those that come first count.
struct BlockListing {
  FleetBlocksHeard heard;
  std::vector<std::string> faults;
};
BlockListing blocks_in(const std::vector<etcd::Record>& records, const std::string& prefix);

/// As etcd has it. A key that ends outlives its time a little: whoever reads it knows when it is over.
FencedChange fenced(const BlockChange& change);

}  // namespace sluice::control
