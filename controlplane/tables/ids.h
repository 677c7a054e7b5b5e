// SPDX-License-Identifier: Apache-2.0
//
// Small dense ids for services or backends, by key. What the data plane already calls by an id keeps it,
// generation included, so that its flows stay valid across a restart of control; everything else gets an id that no
// worker uses, with a generation that differs from every earlier one. Ids that were given back are used
// last, which keeps a generation from coming round while flows of the first still live.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "dataplane/contract/segment.h"

namespace sluice::control {

struct Id {
  uint16_t value = 0;
  uint16_t generation = 0;
  friend bool operator==(const Id&, const Id&) = default;
};

class IdAllocator {
 public:
  /// `workers[w]` is worker w's block of identities, all of one length; `wanted` the keys that will be asked for.
  /// What no wanted key keeps is free as soon as the snapshot ends, and given out only when nothing else is left.
  IdAllocator(std::span<const std::span<const channel::Identity>> workers, const std::unordered_set<uint64_t>& wanted);

  /// The id of `key`, a new one if it has none; nothing when all are taken.
  std::optional<Id> acquire(uint64_t key);

  /// Forgets `key`. Its id may be given to another from now on.
  void release(uint64_t key);

  size_t in_use() const { return held_.size(); }

 private:
  std::unordered_map<uint64_t, Id> held_;
  std::deque<uint16_t> free_;
  std::vector<uint16_t> last_generation_;  // by id
};

}  // namespace sluice::control
