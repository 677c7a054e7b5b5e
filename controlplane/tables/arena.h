// SPDX-License-Identifier: Apache-2.0
//
// Which parts of the channel's arena hold tables. A slot that a command replaced is lent until every worker has
// acknowledged that command; only then it may be written again. First fit, neighbours merged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

namespace sluice::control {

/// A stretch of the arena, in units of channel::kArenaUnit bytes.
struct ArenaSlot {
  uint32_t offset = 0;
  uint32_t units = 0;
  friend bool operator==(const ArenaSlot&, const ArenaSlot&) = default;
};

class ArenaAllocator {
 public:
  explicit ArenaAllocator(size_t arena_bytes);

  /// Room for `bytes` > 0, or nothing: then wait for acknowledgements, if `lent()`.
  std::optional<ArenaSlot> allocate(size_t bytes);

  /// Gives a slot back that no command after `sequence` refers to. Sequences must not fall.
  void release(ArenaSlot slot, uint64_t sequence);

  /// Every worker has applied all commands up to `sequence`.
  void acknowledge(uint64_t sequence);

  /// Units given back and not yet acknowledged.
  uint64_t lent() const { return lent_; }
  uint64_t free_units() const { return free_units_; }

 private:
  struct Lent {
    uint64_t sequence;
    ArenaSlot slot;
  };
  void insert_free(ArenaSlot slot);

  std::map<uint32_t, uint32_t> free_;  // offset to units
  std::deque<Lent> waiting_;           // in order of sequence
  uint64_t free_units_ = 0;
  uint64_t lent_ = 0;
};

}  // namespace sluice::control
