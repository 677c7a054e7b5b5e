// SPDX-License-Identifier: Apache-2.0
//
// Whether the worker is behind with its packets, and which SYNs it drops then, so that open sessions keep up. A worker
// that polls knows it for certain: it is behind at a queue that had a full burst each time, until all that the queue
// holds has gone by several times. A burst of SYNs that meets an idle worker never takes so long: the queue is empty
// before. Of the SYNs to services a share is dropped, as they come in; the share grows while a queue stays full and
// shrinks while none does, so no more are dropped than has to be. A SYN that comes again passes (dropped_syns.h): it is
// of a client that is there. Of these a share goes only where dropping the others is not enough. ACKs are never
// dropped: who acknowledges a cookie is there. Thread safety: none; one worker owns it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "dataplane/worker/arrival.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/dropped_syns.h"

namespace sluice {

class SynShedder {
 public:
  /// A queue is behind that was never found short while so much went by: this many times what it holds, and this long.
  static constexpr uint32_t kTurnovers = 4;
  static constexpr uint64_t kBehindMs = 20;
  /// Shares are in 256ths. How often the share is judged, and how it changes.
  static constexpr uint64_t kJudgeMs = 10;
  static constexpr uint32_t kStep = 16;
  static constexpr uint32_t kBack = 4;
  static constexpr uint32_t kMost = 240;  // one in sixteen always gets through
  /// It ends when for so long none had to be dropped.
  static constexpr uint64_t kQuietMs = 5000;

  explicit SynShedder(const Context& context) noexcept : clock_(context.clock), counters_(context.counters) {
    for (uint32_t port = 0; port < channel::kMaxPorts; port++) {
      queues_[port].room = context.setup.port[port].receive_descriptors;
    }
    for (uint32_t worker = 0; worker < channel::kMaxWorkers; worker++) {
      queues_[of_worker(worker)].room = kHandoverRingEntries;
    }
  }

  /// The queue that another worker hands packets over through; a port's has the port's index.
  static constexpr uint32_t of_worker(uint32_t worker) { return channel::kMaxPorts + worker; }

  /// So many packets came from a queue, of `asked_for`.
  void took(uint32_t queue, uint32_t packets, uint32_t asked_for) noexcept {
    Queue& of = queues_[queue];
    if (packets < asked_for) [[likely]] {
      of.packets = 0;
      return;
    }
    if (of.packets == 0) of.full_since_ms = clock_.now_ms();
    of.packets = std::min(of.packets + packets, kManyPackets);
    if (!on_ && is_behind(of)) begin();
  }

  /// To be called once in each poll iteration, before packets come in.
  void begin_poll() noexcept {
    if (on_ && clock_.now_ms() - judged_ms_ >= kJudgeMs) [[unlikely]]
      judge();
  }

  bool is_on() const noexcept { return on_; }

  /// Whether the next SYN to a service is to be dropped if it comes for the first time: then it is to be put here.
  bool doubts_next() noexcept { return of_first_.takes_next(); }

  /// Whether the next SYN is to be dropped that another worker found to come again.
  bool drops_next_repeated() noexcept { return of_repeated_.takes_next(); }

  /// `source_hash`: of the SYN's source, under a secret. At most kMaxBurst may wait for settle(): meanwhile the memory
  /// comes that tells.
  void put(const Arrival& how, rte_mbuf* mbuf, uint64_t source_hash, uint32_t sequence) noexcept {
    dropped_.prefetch(source_hash, sequence);
    doubtful_[doubtful_count_++] = {how, mbuf, source_hash, sequence};
  }

  /// Calls `drop(how, mbuf)` or `pass(how, mbuf)` for each that was put here.
  template <typename Drop, typename Pass>
  void settle(Drop drop, Pass pass) noexcept {
    for (const Doubtful& one : std::span(doubtful_).first(std::exchange(doubtful_count_, 0))) {
      const bool passes =
          dropped_.comes_again(one.source_hash, one.sequence, clock_.now_ms()) && !of_repeated_.takes_next();
      if (passes) {
        pass(one.how, one.mbuf);
      } else {
        drop(one.how, one.mbuf);
      }
    }
  }

 private:
  static constexpr uint32_t kManyPackets = 1U << 30;

  /// So many 256ths of what is asked about are taken, evenly.
  class Share {
   public:
    bool takes_next() noexcept {
      sum_ += share_;
      const bool takes = sum_ >= kWhole;
      sum_ %= kWhole;
      return takes;
    }
    bool is_none() const noexcept { return share_ == 0; }
    bool is_most() const noexcept { return share_ == kMost; }
    void grow() noexcept { share_ = std::min(share_ + kStep, kMost); }
    void shrink() noexcept { share_ -= std::min(share_, kBack); }

   private:
    static constexpr uint32_t kWhole = 256;
    uint32_t share_ = 0;
    uint32_t sum_ = 0;
  };

  struct Doubtful {
    Arrival how;
    rte_mbuf* mbuf;
    uint64_t source_hash;
    uint32_t sequence;
  };

  struct Queue {
    uint32_t room = 0;     // packets that it holds; 0 = not known: it is never behind
    uint32_t packets = 0;  // since a burst was not full
    uint64_t full_since_ms = 0;
  };

  bool is_behind(const Queue& queue) const noexcept {
    return queue.room != 0 && queue.packets / kTurnovers >= queue.room &&
           clock_.now_ms() - queue.full_since_ms >= kBehindMs;
  }

  void begin() noexcept {
    on_ = true;
    of_first_.grow();
    judged_ms_ = behind_ms_ = clock_.now_ms();
    counters_.set_gauge(Counter::kShedsSynsNow, 1);
  }

  void judge() noexcept {
    // A queue that has been full ever since the last judgement.
    const bool behind = std::ranges::any_of(
        queues_, [&](const Queue& of) { return of.room != 0 && of.packets != 0 && of.full_since_ms <= judged_ms_; });
    if (behind) {
      (of_first_.is_most() ? of_repeated_ : of_first_).grow();
    } else {
      (of_repeated_.is_none() ? of_first_ : of_repeated_).shrink();
    }
    judged_ms_ = clock_.now_ms();
    if (!of_first_.is_none()) behind_ms_ = judged_ms_;
    if (judged_ms_ - behind_ms_ < kQuietMs) return;
    on_ = false;
    counters_.set_gauge(Counter::kShedsSynsNow, 0);
  }

  const PollClock& clock_;
  Counters& counters_;
  std::array<Queue, channel::kMaxPorts + channel::kMaxWorkers> queues_{};
  bool on_ = false;
  Share of_first_;
  Share of_repeated_;
  DroppedSyns dropped_;
  std::array<Doubtful, kMaxBurst> doubtful_;
  uint32_t doubtful_count_ = 0;
  uint64_t judged_ms_ = 0;
  uint64_t behind_ms_ = 0;
};

}  // namespace sluice
