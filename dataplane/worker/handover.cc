// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/handover.h"

namespace sluice {

void Handover::hand_over(uint32_t worker, uint32_t port, rte_mbuf* mbuf, HandoverNote note) noexcept {
  Queue& queue = queues_[worker];
  mbuf->port = static_cast<uint16_t>(port);
  put_note(*mbuf, note);
  queue.made |= static_cast<uint64_t>(note.what == Handed::kSendMade) << queue.count;
  queue.mbufs[queue.count++] = mbuf;
  if (queue.count == queue.mbufs.size()) flush(worker);
}

bool Handover::ask_next(uint32_t port, rte_mbuf* mbuf, uint32_t asker, const Address& source) noexcept {
  const uint32_t next = setup_.index + 1 == setup_.workers ? 0 : setup_.index + 1;
  if (next == asker) return false;
  if (asker == setup_.index && !asks_.take(source_name(source, 0, setup_.hash_seed), clock_.now_ms())) return false;
  hand_over(next, port, mbuf, {Handed::kAsk, static_cast<uint8_t>(asker)});
  return true;
}

uint32_t Handover::take(uint32_t worker, std::array<void*, kMaxBurst>& mbufs) noexcept {
  if (setup_.hand_from[worker] == nullptr) return 0;
  return rte_ring_sc_dequeue_burst(setup_.hand_from[worker], mbufs.data(), kMaxBurst, nullptr);
}

void Handover::flush(uint32_t worker) noexcept {
  Queue& queue = queues_[worker];
  const uint32_t n = rte_ring_sp_enqueue_burst(setup_.hand_to[worker], queue.mbufs.data(), queue.count, nullptr);
  const uint64_t sent = n == 64 ? ~0ULL : (1ULL << n) - 1;
  const auto made_sent = static_cast<uint32_t>(__builtin_popcountll(queue.made & sent));
  const auto made_lost = static_cast<uint32_t>(__builtin_popcountll(queue.made & ~sent));
  counters_.count(Counter::kHandedOut, n - made_sent);
  if (n < queue.count) {
    counters_.count(Counter::kDropHandoverFull, queue.count - n - made_lost);
    counters_.count(Counter::kDropMade, made_lost);
    for (uint32_t i = n; i < queue.count; i++) rte_pktmbuf_free(static_cast<rte_mbuf*>(queue.mbufs[i]));
  }
  queue.count = 0;
  queue.made = 0;
}

void Handover::flush() noexcept {
  for (uint32_t worker = 0; worker < setup_.workers; worker++) {
    if (queues_[worker].count != 0) flush(worker);
  }
}

}  // namespace sluice
