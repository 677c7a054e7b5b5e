// SPDX-License-Identifier: Apache-2.0
//
// The prefixes that operators blocked on all nodes, as this node has heard of them. Kept, as they are not heard anew
// while etcd is away; each ends at its time, heard or not. One thread; time is the journal's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/changes/fleet_block.h"

namespace sluice::control {

class FleetBlocks {
 public:
  /// `directory` is where the state is kept. The journal outlives this.
  FleetBlocks(Journal& journal, const std::string& directory);

  /// Reads what was kept. A file that makes no sense is set aside, and the journal says so.
  void restore();
  /// In the place of what was known. Whether other prefixes are blocked now.
  bool hear(FleetBlocksHeard heard);
  /// To be called every second or so: lets go what has expired. Whether any has.
  bool tick();

  const FleetBlockEntries& entries() const { return entries_; }
  /// Of what is said of that prefix; 0 = nothing is.
  int64_t revision_of(const config::IpPrefix& prefix) const;

 private:
  bool is_over(const FleetBlock& block) const;
  void record(const config::IpPrefix& prefix, std::string text);

  Journal& journal_;
  std::string path_;
  FleetBlockEntries entries_;
  std::map<config::IpPrefix, int64_t> revisions_;
};

}  // namespace sluice::control
