// SPDX-License-Identifier: Apache-2.0
//
// The clients that are being told 421: a fixed number, in sets of a few by a keyed hash of the client. Where a set is
// full, the dialogue that has been told already, or else one that is kept waiting, or else the oldest one, gives way:
// its client still has what it was sent. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/flow/keyed_hash.h"
#include "dataplane/flow/refusal_dialogue.h"

namespace sluice {

class RefusalTable {
 public:
  static constexpr uint32_t kSets = 1024;
  static constexpr uint32_t kWays = 4;
  static constexpr uint32_t kDialogues = kSets * kWays;

  explicit RefusalTable(uint64_t secret) noexcept : secret_(secret) {}

  /// How many there are.
  uint32_t count() const noexcept { return count_; }

  /// Null if there is none.
  RefusalDialogue* find(const Endpoint& client, const Endpoint& service) noexcept {
    if (count_ == 0) return nullptr;
    RefusalDialogue* set = set_of(client);
    for (uint32_t way = 0; way < kWays; way++) {
      if (set[way].is_of(client, service)) return &set[way];
    }
    return nullptr;
  }

  /// A place for a dialogue, zeroed but for `in_use`. The client has none with the service.
  RefusalDialogue& take(const Endpoint& client) noexcept {
    RefusalDialogue* set = set_of(client);
    RefusalDialogue* best = set;
    for (uint32_t way = 1; way < kWays && best->in_use; way++) {
      if (gives_way(set[way], *best)) best = &set[way];
    }
    if (!best->in_use) count_++;
    *best = RefusalDialogue{};
    best->in_use = true;
    return *best;
  }

  void free(RefusalDialogue& dialogue) noexcept {
    dialogue.in_use = false;
    count_--;
  }

  RefusalDialogue& at(uint32_t place) noexcept { return dialogues_[place]; }

 private:
  static bool gives_way(const RefusalDialogue& one, const RefusalDialogue& other) noexcept {
    if (!one.in_use) return true;
    if (one.acknowledged != other.acknowledged) return one.acknowledged;
    if (one.held != other.held) return one.held;
    if (one.sent != other.sent) return one.sent > other.sent;
    return sequence_before(one.due_ms, other.due_ms);
  }

  RefusalDialogue* set_of(const Endpoint& client) noexcept {
    return &dialogues_[(keyed_hash(client, secret_) >> 32) % kSets * kWays];
  }

  const uint64_t secret_;
  uint32_t count_ = 0;
  std::array<RefusalDialogue, kDialogues> dialogues_{};
};

}  // namespace sluice
