// SPDX-License-Identifier: Apache-2.0
//
// A server's answer to a SYN may come back by another node than the SYN went, and sooner than that node's word of it.
// So it waits here for a few milliseconds, once, and is then dealt with whatever is known. Few wait, and those in the
// order in which they came. Thread safety: none; one worker owns it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/worker/context.h"

namespace sluice {

class HeldReplies {
 public:
  static constexpr uint32_t kHoldMs = 4;

  explicit HeldReplies(const Context& context) noexcept
      : clock_(context.clock), counters_(context.counters), enabled_(context.setup.told != nullptr) {}

  /// Keeps a packet that came through `port`. False if it is not to wait: there are no other nodes, too many wait, or
  /// it has waited.
  bool hold(uint32_t port, rte_mbuf* mbuf) noexcept {
    if (!enabled_ || taking_up_ || count_ == kMostHeldReplies) return false;
    const uint32_t place = (first_ + count_++) % kMostHeldReplies;
    held_[place] = {mbuf, clock_.now_ms() + kHoldMs, port};
    counters_.count(Counter::kRepliesHeld);
    return true;
  }

  /// Calls `enter(port, mbuf)` for up to kMaxBurst packets that have waited, then `process()`. Returns whether there
  /// was one.
  template <typename Enter, typename Process>
  bool take_up(Enter enter, Process process) noexcept {
    if (count_ == 0 || held_[first_].until_ms > clock_.now_ms()) return false;
    taking_up_ = true;
    for (uint32_t n = 0; n < kMaxBurst && count_ != 0 && held_[first_].until_ms <= clock_.now_ms(); n++) {
      enter(held_[first_].port, held_[first_].mbuf);
      first_ = (first_ + 1) % kMostHeldReplies;
      count_--;
    }
    process();
    taking_up_ = false;
    return true;
  }

 private:
  struct Held {
    rte_mbuf* mbuf;
    uint64_t until_ms;
    uint32_t port;
  };

  const PollClock& clock_;
  Counters& counters_;
  const bool enabled_;
  bool taking_up_ = false;
  uint32_t first_ = 0;
  uint32_t count_ = 0;
  std::array<Held, kMostHeldReplies> held_;
};

}  // namespace sluice
