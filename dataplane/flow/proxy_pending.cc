// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/proxy_pending.h"

#include "dataplane/packet/sequence.h"

namespace sluice {

ProxyPending::ProxyPending() noexcept {
  for (uint32_t i = 0; i < kCapacity; i++) entries_[i].next = i + 1 < kCapacity ? i + 1 : kNone;
}

void ProxyPending::append(uint32_t entry, uint8_t attempt, uint32_t now_ms) noexcept {
  PendingHeader& header = entries_[entry];
  Queue& queue = queues_[attempt];
  header.attempt = attempt;
  header.due_ms = now_ms + kWaitMs[attempt];
  header.previous = queue.tail;
  header.next = kNone;
  (queue.tail == kNone ? queue.head : entries_[queue.tail].next) = entry;
  queue.tail = entry;
}

void ProxyPending::unlink(uint32_t entry) noexcept {
  const PendingHeader& header = entries_[entry];
  Queue& queue = queues_[header.attempt];
  (header.previous == kNone ? queue.head : entries_[header.previous].next) = header.next;
  (header.next == kNone ? queue.tail : entries_[header.next].previous) = header.previous;
}

uint32_t ProxyPending::add(FlowIndex flow, uint32_t now_ms) noexcept {
  if (free_ == kNone) return kNone;
  const uint32_t entry = free_;
  free_ = entries_[entry].next;
  entries_[entry] = PendingHeader{};
  entries_[entry].flow = flow;
  entries_[entry].in_use = true;
  append(entry, 0, now_ms);
  size_++;
  return entry;
}

uint32_t ProxyPending::overdue(uint32_t now_ms) const noexcept {
  for (const Queue& queue : queues_) {
    if (queue.head != kNone && is_due(entries_[queue.head].due_ms, now_ms)) return queue.head;
  }
  return kNone;
}

bool ProxyPending::again(uint32_t entry, uint32_t now_ms) noexcept {
  const auto attempt = static_cast<uint8_t>(entries_[entry].attempt + 1);
  if (attempt >= kAttempts) return false;
  unlink(entry);
  append(entry, attempt, now_ms);
  return true;
}

void ProxyPending::remove(uint32_t entry) noexcept {
  if (!entries_[entry].in_use) return;
  unlink(entry);
  entries_[entry].in_use = false;
  entries_[entry].next = free_;
  free_ = entry;
  size_--;
}

}  // namespace sluice
