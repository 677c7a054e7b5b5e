// SPDX-License-Identifier: Apache-2.0
//
// Packets that one worker gives to another. Flows are never shared: where a device has not put a packet before the
// worker that owns its flow (ownership.h), whoever received it hands it over, through a ring of one producer and one
// consumer for each pair of workers. A worker without a transmit queue of its own on a port hands what it forwards to
// the one that has it. Thread safety: none but the rings'; one worker owns it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/flow/source_budget.h"
#include "dataplane/worker/counters.h"
#include "dataplane/worker/poll_clock.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// What is asked of the worker that gets an mbuf.
enum class Handed : uint8_t {
  kProcess,   // yours by its client
  kRepeated,  // likewise: a SYN that a worker which was behind has dropped before, and that has come again
  kAsk,       // a later fragment whose first one is not known here; go on if it is not known there either
  kSend,      // forwarded; send it through port mbuf->port
  kSendMade,  // made by a worker; likewise
};

/// Rides with an mbuf in `hash.usr`, which nothing else uses between receive and transmit.
struct HandoverNote {
  Handed what = Handed::kProcess;
  uint8_t asker = 0;  // kAsk: the worker that asked first
};

inline void put_note(rte_mbuf& mbuf, HandoverNote note) noexcept {
  mbuf.hash.usr = static_cast<uint32_t>(note.what) | uint32_t{note.asker} << 8;
}
inline HandoverNote note_of(const rte_mbuf& mbuf) noexcept {
  return {static_cast<Handed>(mbuf.hash.usr & 0xff), static_cast<uint8_t>(mbuf.hash.usr >> 8)};
}

class Handover {
 public:
  /// So many frames a second are handed round by each worker that met them first: nearly all are junk, and each costs
  /// every worker and its ring. No source uses it up alone.
  static constexpr uint32_t kAsksPerSecond = 2000;
  static constexpr uint32_t kAskBurst = 256;

  Handover(const WorkerSetup& setup, const PollClock& clock, Counters& counters) noexcept
      : setup_(setup), clock_(clock), counters_(counters), asks_(kAsksPerSecond, kAskBurst, clock.now_ms()) {}

  /// Gives away a frame that came through `port`, or is to be sent through it.
  void hand_over(uint32_t worker, uint32_t port, rte_mbuf* mbuf, HandoverNote note) noexcept;
  /// Hands a frame to the next worker that might know its flow. False if all have been asked, or too much has been
  /// asked lately, by others than `source` too.
  bool ask_next(uint32_t port, rte_mbuf* mbuf, uint32_t asker, const Address& source) noexcept;

  /// What the other workers have for this one, worker by worker: takes at most kMaxBurst.
  uint32_t take(uint32_t worker, std::array<void*, kMaxBurst>& mbufs) noexcept;

  /// To be called at the end of a poll iteration: packets do not wait for a full burst any longer.
  void flush() noexcept;

 private:
  /// Packets on their way to one worker, until a burst's worth is handed over at once.
  struct Queue {
    uint32_t count = 0;
    uint64_t made = 0;  // bit i: mbufs[i] was made here, not received
    std::array<void*, kMaxBurst> mbufs;
  };

  void flush(uint32_t worker) noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  SourceBudget asks_;
  std::array<Queue, channel::kMaxWorkers> queues_;
};

}  // namespace sluice
