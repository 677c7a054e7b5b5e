// SPDX-License-Identifier: Apache-2.0
//
// Takes commands to every worker's ring, as far as there is room, and follows what the workers have applied. A command
// is never lost: what does not fit stays here until the next push. No clock, no I/O.
#pragma once

#include <rte_ring.h>

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/contract/messages.h"

namespace sluice::control {

class CommandFeed {
 public:
  /// `rings[w]` is worker w's command ring; control is its one producer.
  explicit CommandFeed(const std::vector<rte_ring*>& rings);

  void append(std::span<const channel::Command> commands);

  /// Moves what fits. Returns whether nothing is left to move.
  bool push();

  /// Worker `worker` says that it has applied up to `applied`: the low 32 bits of a sequence. A number
  /// that was never sent is ignored.
  void note_applied(uint32_t worker, uint32_t applied);

  /// Up to which sequence every worker has applied.
  uint64_t acknowledged() const;
  /// The worker that is furthest behind.
  uint32_t slowest() const;

 private:
  struct Worker {
    rte_ring* ring;
    size_t next = 0;       // in pending_
    uint64_t applied = 0;  // widened
  };

  std::vector<Worker> workers_;
  std::vector<channel::Command> pending_;  // not yet in every ring
  uint64_t appended_ = 0;                  // so far; the last one's sequence
};

}  // namespace sluice::control
