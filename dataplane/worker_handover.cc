// SPDX-License-Identifier: Apache-2.0
//
// Packets for and from other workers; see handover.h.
#include <rte_prefetch.h>

#include "dataplane/local_ports.h"
#include "dataplane/worker_enter.h"

namespace sluice {

void Worker::hand_over(uint32_t worker, uint32_t port, rte_mbuf* mbuf, HandoverNote note) noexcept {
  HandoverQueue& queue = handover_[worker];
  mbuf->port = static_cast<uint16_t>(port);
  put_note(*mbuf, note);
  queue.made |= static_cast<uint64_t>(note.what == Handed::kSendMade) << queue.count;
  queue.mbufs[queue.count++] = mbuf;
  if (queue.count == queue.mbufs.size()) flush_handover(worker);
}

void Worker::flush_handover(uint32_t worker) noexcept {
  HandoverQueue& queue = handover_[worker];
  const uint32_t n = rte_ring_sp_enqueue_burst(setup_.hand_to[worker], queue.mbufs.data(), queue.count, nullptr);
  const uint64_t sent = n == 64 ? ~0ULL : (1ULL << n) - 1;
  const auto made_sent = static_cast<uint32_t>(__builtin_popcountll(queue.made & sent));
  const auto made_lost = static_cast<uint32_t>(__builtin_popcountll(queue.made & ~sent));
  count(Counter::kHandedOut, n - made_sent);
  if (n < queue.count) {
    count(Counter::kDropHandoverFull, queue.count - n - made_lost);
    count(Counter::kDropMade, made_lost);
    for (uint32_t i = n; i < queue.count; i++) rte_pktmbuf_free(static_cast<rte_mbuf*>(queue.mbufs[i]));
  }
  queue.count = 0;
  queue.made = 0;
}

void Worker::flush_handovers() noexcept {
  for (uint32_t worker = 0; worker < setup_.workers; worker++) {
    if (handover_[worker].count != 0) flush_handover(worker);
  }
}

bool Worker::take_handed() noexcept {
  bool any = false;
  for (uint32_t worker = 0; worker < setup_.workers; worker++) {
    if (setup_.hand_from[worker] == nullptr) continue;
    std::array<void*, kMaxBurst> mbufs;
    const uint32_t n = rte_ring_sc_dequeue_burst(setup_.hand_from[worker], mbufs.data(), kMaxBurst, nullptr);
    if (n == 0) continue;
    any = true;
    for (uint32_t i = 0; i < n; i++) rte_prefetch0(mbufs[i]);
    uint32_t made = 0;
    uint32_t kept = burst_.count;
    for (uint32_t i = 0; i < n; i++) {
      auto* mbuf = static_cast<rte_mbuf*>(mbufs[i]);
      if (i + 2 < n) rte_prefetch0(rte_pktmbuf_mtod(static_cast<rte_mbuf*>(mbufs[i + 2]), void*));
      const HandoverNote note = note_of(*mbuf);
      if (note.what == Handed::kSend) {
        send(mbuf->port, mbuf);
      } else if (note.what == Handed::kSendMade) {
        made++;
        send_made(mbuf->port, mbuf);
      } else {
        kept = enter(kept, arrival(mbuf->port, true, note.what == Handed::kAsk ? note.asker : setup_.index), mbuf);
      }
    }
    burst_.count = kept;
    count(Counter::kHandedIn, n - made);
    end_stage(Counter::kStageParse);
    if (burst_.count + aside_count_ > Burst::kSize - kMaxBurst) process();
  }
  return any;
}

uint32_t Worker::owner_of_reply(const Endpoint& to, uint64_t hash) const noexcept {
  const bool to_us = is_local_port(to.port) && state_.find_local(to.address) != channel::kMaxLocals;
  return to_us ? local_port_owner(to.port, setup_.workers) : owner_of_client(hash);
}

bool Worker::ask_next(uint32_t port, rte_mbuf* mbuf, uint32_t asker) noexcept {
  const uint32_t next = setup_.index + 1 == setup_.workers ? 0 : setup_.index + 1;
  if (next == asker || setup_.spread == Spread::kAlone) return false;
  hand_over(next, port, mbuf, {Handed::kAsk, static_cast<uint8_t>(asker)});
  return true;
}

bool Worker::hand_over_icmp(uint32_t port, rte_mbuf* mbuf, const Packet& packet) noexcept {
  IcmpError error;
  if (!read_icmp_error(*mbuf, packet, error)) return false;
  // What it quotes was sent by a VIP to a client, or by a client to a backend.
  const bool by_vip = state_.find_service(error.source) != channel::kNoService;
  const Endpoint& far = by_vip ? error.destination : error.source;
  const uint64_t hash = flows_.hash(far);
  const uint32_t owner = by_vip ? owner_of_client(hash) : owner_of_reply(far, hash);
  if (owner == setup_.index) return false;
  hand_over(owner, port, mbuf, {Handed::kProcess, 0});
  return true;
}

bool Worker::take_first_fragment(uint32_t port, rte_mbuf* mbuf, const Packet& packet, FlowPlace place, bool from_client,
                                 uint32_t asker) noexcept {
  const FlowIndex index = from_client ? find_from_client(place, packet) : find_from_backend(place, packet);
  // Devices hash fragments by address alone, so under RSS they may have come to the wrong worker.
  if (index == kNoFlow && setup_.spread == Spread::kRss && ask_next(port, mbuf, asker)) return false;
  // Strangers among the clients get no place; the flow of one who comes in mid-stream is known at its next attempt.
  if (index != kNoFlow || setup_.port[port].faces != Faces::kClients) fragments_.remember(packet, now_ms_);
  return true;
}

void Worker::hand_to_sender(uint32_t port) noexcept {
  OutQueue& queue = out_[port];
  const uint32_t sender = setup_.port[port].sender;
  for (uint32_t i = 0; i < queue.count; i++) {
    const bool made = (queue.made[i / 64] >> (i % 64) & 1) != 0;
    hand_over(sender, port, queue.mbufs[i], {made ? Handed::kSendMade : Handed::kSend, 0});
  }
  queue.made.fill(0);
  queue.count = 0;
}

}  // namespace sluice
