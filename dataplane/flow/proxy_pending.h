// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers that are on their way to a backend and not yet acknowledged. The client does not know of these bytes
// and never retransmits them, so the balancer does. Entries wait in one queue per attempt: within a queue all wait
// equally long, so its head is the next that is due and time costs nothing else.
//
// Thread safety: none; one worker owns it. Nothing allocates after construction.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/flow.h"

namespace sluice {

struct PendingHeader {
  FlowIndex flow;
  uint32_t sequence;         // where the header starts: the client's first number after its SYN
  uint32_t ack;              // the backend's first number after its SYN
  uint32_t timestamp_value;  // RFC 7323 option of the client's ACK, network order as it came
  uint32_t timestamp_echo;
  uint32_t payload_bytes;  // from the client meanwhile
  uint32_t due_ms;
  uint16_t window;  // of the client's ACK, network order
  uint8_t attempt;
  bool in_use;
  bool has_timestamps;
  uint32_t previous;  // links of the queue, or `next` of the free list
  uint32_t next;
};

class ProxyPending {
 public:
  static constexpr uint32_t kCapacity = 1U << 16;
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kAttempts = 6;
  /// How long an attempt waits for its acknowledgement. Exim gives up after 3 s: two more come before that.
  static constexpr std::array<uint32_t, kAttempts> kWaitMs{700, 1400, 2800, 5600, 11'200, 22'400};

  ProxyPending() noexcept;

  /// Takes an entry and queues it as sent for the first time at `now_ms`. kNone if all are taken.
  uint32_t add(FlowIndex flow, uint32_t now_ms) noexcept;
  PendingHeader& operator[](uint32_t entry) noexcept { return entries_[entry]; }
  /// Whether an entry is this flow's.
  bool is_of(uint32_t entry, FlowIndex flow) const noexcept {
    return entry < kCapacity && entries_[entry].in_use && entries_[entry].flow == flow;
  }

  /// An entry whose acknowledgement is overdue, or kNone. Follow with again() or remove().
  uint32_t overdue(uint32_t now_ms) const noexcept;
  /// Queues an entry for its next attempt. False if it has had its last: it is then still to be removed.
  bool again(uint32_t entry, uint32_t now_ms) noexcept;
  /// Does nothing if the entry is not in use.
  void remove(uint32_t entry) noexcept;

  uint32_t size() const noexcept { return size_; }

 private:
  struct Queue {
    uint32_t head = kNone;
    uint32_t tail = kNone;
  };

  void append(uint32_t entry, uint8_t attempt, uint32_t now_ms) noexcept;
  void unlink(uint32_t entry) noexcept;

  std::array<PendingHeader, kCapacity> entries_;
  std::array<Queue, kAttempts> queues_;
  uint32_t free_ = 0;
  uint32_t size_ = 0;
};

}  // namespace sluice
