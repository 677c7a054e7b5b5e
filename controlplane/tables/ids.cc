// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/ids.h"

#include <algorithm>

namespace sluice::control {

namespace {

/// What the workers say about one id. They may differ by the last commands of an earlier control process.
struct Seen {
  uint64_t key = 0;  // the one key that it stands for; 0 if none
  uint16_t generation = 0;
  bool contested = false;  // workers name different keys or generations
};

Seen look_at(std::span<const std::span<const channel::Identity>> workers, size_t id) {
  Seen seen;
  for (const auto& worker : workers) {
    const channel::Identity& identity = worker[id];
    if (identity.key == 0) continue;
    if (seen.key == 0) {
      seen.key = identity.key;
      seen.generation = identity.generation;
    } else if (seen.key != identity.key || seen.generation != identity.generation) {
      seen.contested = true;
    }
  }
  return seen;
}

uint16_t newest_generation(std::span<const std::span<const channel::Identity>> workers, size_t id) {
  uint16_t newest = 0;
  for (const auto& worker : workers) newest = std::max(newest, worker[id].generation);
  return newest;
}

}  // namespace

IdAllocator::IdAllocator(std::span<const std::span<const channel::Identity>> workers,
                         const std::unordered_set<uint64_t>& wanted) {
  const size_t ids = workers.empty() ? 0 : workers.front().size();
  last_generation_.resize(ids);
  std::vector<uint16_t> stale;
  for (size_t id = 0; id < ids; id++) {
    const auto value = static_cast<uint16_t>(id);
    const Seen seen = look_at(workers, id);
    last_generation_[id] = newest_generation(workers, id);
    if (seen.key == 0) {
      free_.push_back(value);
    } else if (seen.contested || !wanted.contains(seen.key) ||
               !held_.try_emplace(seen.key, Id{value, seen.generation}).second) {
      stale.push_back(value);
    }
  }
  free_.insert(free_.end(), stale.begin(), stale.end());
}

std::optional<Id> IdAllocator::acquire(uint64_t key) {
  if (const auto held = held_.find(key); held != held_.end()) return held->second;
  if (free_.empty()) return std::nullopt;
  Id id{free_.front(), 0};
  free_.pop_front();
  uint16_t& last = last_generation_[id.value];
  if (++last == 0) last = 1;  // 0 is what untouched memory says
  id.generation = last;
  held_.emplace(key, id);
  return id;
}

void IdAllocator::release(uint64_t key) {
  const auto held = held_.find(key);
  if (held == held_.end()) return;
  free_.push_back(held->second.value);
  held_.erase(held);
}

}  // namespace sluice::control
