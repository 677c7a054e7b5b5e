// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/command_feed.h"

#include <algorithm>

#include "dataplane/contract/segment.h"

namespace sluice::control {

CommandFeed::CommandFeed(const std::vector<rte_ring*>& rings) {
  for (rte_ring* ring : rings) workers_.push_back({ring});
}

void CommandFeed::append(std::span<const channel::Command> commands) {
  pending_.insert(pending_.end(), commands.begin(), commands.end());
  appended_ += commands.size();
}

bool CommandFeed::push() {
  bool all = true;
  for (Worker& worker : workers_) {
    const size_t room = rte_ring_free_count(worker.ring);
    const size_t n = std::min(room, pending_.size() - worker.next);
    if (n != 0 && channel::put_all(worker.ring, std::span<const channel::Command>(&pending_[worker.next], n))) {
      worker.next += n;
    }
    all &= worker.next == pending_.size();
  }
  if (all) {
    pending_.clear();
    for (Worker& worker : workers_) worker.next = 0;
  }
  return all;
}

void CommandFeed::note_applied(uint32_t worker, uint32_t applied) {
  uint64_t& known = workers_[worker].applied;
  const uint64_t step = applied - static_cast<uint32_t>(known);  // sequences exceed 32 bits
  if (known + step <= appended_) known += step;
}

uint64_t CommandFeed::acknowledged() const {
  return workers_.empty() ? 0 : workers_[slowest()].applied;
}

uint32_t CommandFeed::slowest() const {
  const auto it = std::min_element(workers_.begin(), workers_.end(),
                                   [](const Worker& a, const Worker& b) { return a.applied < b.applied; });
  return static_cast<uint32_t>(it - workers_.begin());
}

}  // namespace sluice::control
