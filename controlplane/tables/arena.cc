// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/arena.h"

#include <iterator>

#include "dataplane/contract/messages.h"

namespace sluice::control {

ArenaAllocator::ArenaAllocator(size_t arena_bytes) {
  const auto units = static_cast<uint32_t>(arena_bytes / channel::kArenaUnit);
  if (units != 0) insert_free({0, units});
}

std::optional<ArenaSlot> ArenaAllocator::allocate(size_t bytes) {
  const size_t units = (bytes + channel::kArenaUnit - 1) / channel::kArenaUnit;
  for (auto hole = free_.begin(); hole != free_.end(); ++hole) {
    if (hole->second < units) continue;
    const ArenaSlot slot{hole->first, static_cast<uint32_t>(units)};
    const ArenaSlot rest{slot.offset + slot.units, hole->second - slot.units};
    free_.erase(hole);
    if (rest.units != 0) free_.emplace(rest.offset, rest.units);
    free_units_ -= slot.units;
    return slot;
  }
  return std::nullopt;
}

void ArenaAllocator::release(ArenaSlot slot, uint64_t sequence) {
  waiting_.push_back({sequence, slot});
  lent_ += slot.units;
}

void ArenaAllocator::acknowledge(uint64_t sequence) {
  while (!waiting_.empty() && waiting_.front().sequence <= sequence) {
    lent_ -= waiting_.front().slot.units;
    insert_free(waiting_.front().slot);
    waiting_.pop_front();
  }
}

void ArenaAllocator::insert_free(ArenaSlot slot) {
  free_units_ += slot.units;
  auto after = free_.lower_bound(slot.offset);
  if (after != free_.end() && slot.offset + slot.units == after->first) {
    slot.units += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == slot.offset) {
      before->second += slot.units;
      return;
    }
  }
  free_.emplace(slot.offset, slot.units);
}

}  // namespace sluice::control
