// SPDX-License-Identifier: Apache-2.0
//
// What waits for an answer and is done again if none comes, a few times. Entries wait in one queue per attempt: within
// a queue all wait equally long, so its head is the next that is due, and time costs nothing else.
//
// Thread safety: none; one worker owns it. Nothing allocates after construction.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/packet/sequence.h"

namespace sluice {

/// What an entry has besides its own.
struct RetryLinks {
  FlowIndex flow;
  uint32_t due_ms;
  uint8_t attempt;
  bool in_use;
  uint32_t previous;  // links of the queue, or `next` of the free list
  uint32_t next;
};

/// `Entry` derives from RetryLinks. `kWait`: how long each attempt waits for its answer, in milliseconds.
template <typename Entry, std::array kWait, uint32_t kPlaces>
class RetryQueues {
 public:
  static constexpr uint32_t kCapacity = kPlaces;
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kAttempts = kWait.size();
  static constexpr std::array kWaitMs = kWait;

  /// Takes an entry and queues it as sent for the first time at `now_ms`. kNone if all are taken.
  uint32_t add(FlowIndex flow, uint32_t now_ms) noexcept {
    const uint32_t entry = take();
    if (entry == kNone) return kNone;
    entries_[entry] = Entry{};
    entries_[entry].flow = flow;
    entries_[entry].in_use = true;
    append(entry, 0, now_ms);
    size_++;
    return entry;
  }
  Entry& operator[](uint32_t entry) noexcept { return entries_[entry]; }
  /// Whether an entry is this flow's.
  bool is_of(uint32_t entry, FlowIndex flow) const noexcept {
    return entry < never_used_ && entries_[entry].in_use && entries_[entry].flow == flow;
  }

  /// An entry whose answer is overdue, or kNone. Follow with again() or remove().
  uint32_t overdue(uint32_t now_ms) const noexcept {
    for (const Queue& queue : queues_) {
      if (queue.head != kNone && is_due(entries_[queue.head].due_ms, now_ms)) return queue.head;
    }
    return kNone;
  }
  /// Queues an entry for its next attempt. False if it has had its last: it is then still to be removed.
  bool again(uint32_t entry, uint32_t now_ms) noexcept {
    const auto attempt = static_cast<uint8_t>(entries_[entry].attempt + 1);
    if (attempt >= kAttempts) return false;
    unlink(entry);
    append(entry, attempt, now_ms);
    return true;
  }
  /// Does nothing if the entry is not in use.
  void remove(uint32_t entry) noexcept {
    if (!entries_[entry].in_use) return;
    unlink(entry);
    entries_[entry].in_use = false;
    entries_[entry].next = free_;
    free_ = entry;
    size_--;
  }

  uint32_t size() const noexcept { return size_; }

 private:
  struct Queue {
    uint32_t head = kNone;
    uint32_t tail = kNone;
  };

  uint32_t take() noexcept {
    if (free_ == kNone) return never_used_ < kCapacity ? never_used_++ : kNone;
    const uint32_t entry = free_;
    free_ = entries_[entry].next;
    return entry;
  }

  void append(uint32_t entry, uint8_t attempt, uint32_t now_ms) noexcept {
    Entry& links = entries_[entry];
    Queue& queue = queues_[attempt];
    links.attempt = attempt;
    links.due_ms = now_ms + kWait[attempt];
    links.previous = queue.tail;
    links.next = kNone;
    (queue.tail == kNone ? queue.head : entries_[queue.tail].next) = entry;
    queue.tail = entry;
  }

  void unlink(uint32_t entry) noexcept {
    const Entry& links = entries_[entry];
    Queue& queue = queues_[links.attempt];
    (links.previous == kNone ? queue.head : entries_[links.previous].next) = links.next;
    (links.next == kNone ? queue.tail : entries_[links.next].previous) = links.previous;
  }

  std::array<Entry, kCapacity> entries_;
  std::array<Queue, kAttempts> queues_;
  uint32_t free_ = kNone;
  uint32_t never_used_ = 0;  // entries from here on have never been taken
  uint32_t size_ = 0;
};

}  // namespace sluice
