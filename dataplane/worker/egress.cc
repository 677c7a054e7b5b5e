// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/egress.h"

#include <rte_ethdev.h>

#include <cstring>

namespace sluice {

Egress::Egress(const WorkerSetup& setup, Counters& counters, Handover& handover) noexcept
    : setup_(setup), counters_(counters), handover_(handover) {
  for (uint32_t i = 0; i < setup.ports; i++) {
    std::memcpy(&mac_word_[i], setup.port[i].mac.bytes.data(), 6);
    mtu_[i] = setup.port[i].mtu;
  }
}

void Egress::drop(rte_mbuf* mbuf, Counter reason) noexcept {
  counters_.count(reason);
  rte_pktmbuf_free(mbuf);
}

void Egress::transmit(uint32_t port) noexcept {
  OutQueue& queue = out_[port];
  const WorkerPort& attached = setup_.port[port];
  if (queue.count == 0 && !attached.has_own_frames) return;
  if (attached.transmit_queue == WorkerPort::kNoQueue) return hand_to_sender(port);
  const uint16_t sent = rte_eth_tx_burst(attached.device, attached.transmit_queue, queue.mbufs.data(),
                                         static_cast<uint16_t>(queue.count));
  uint64_t made_sent = 0;
  uint64_t made_lost = 0;
  for (uint32_t i = 0; i < queue.made.size(); i++) {
    const uint32_t below = i * 64;
    const uint64_t in_sent = sent >= below + 64 ? ~0ULL : (sent <= below ? 0 : (1ULL << (sent - below)) - 1);
    made_sent += static_cast<uint64_t>(__builtin_popcountll(queue.made[i] & in_sent));
    made_lost += static_cast<uint64_t>(__builtin_popcountll(queue.made[i] & ~in_sent));
    queue.made[i] = 0;
  }
  counters_.count(Counter::kForwarded, sent - made_sent);
  if (sent < queue.count) {
    counters_.count(Counter::kDropTransmitFull, queue.count - sent - made_lost);
    counters_.count(Counter::kDropMade, made_lost);
    rte_pktmbuf_free_bulk(&queue.mbufs[sent], queue.count - sent);
  }
  queue.count = 0;
}

void Egress::hand_to_sender(uint32_t port) noexcept {
  OutQueue& queue = out_[port];
  const uint32_t sender = setup_.port[port].sender;
  for (uint32_t i = 0; i < queue.count; i++) {
    handover_.hand_over(sender, port, queue.mbufs[i], {queue.is_made(i) ? Handed::kSendMade : Handed::kSend, 0});
  }
  queue.made.fill(0);
  queue.count = 0;
}

bool Egress::send_for_main() noexcept {
  if (setup_.from_main == nullptr) return false;
  std::array<void*, kMaxBurst> mbufs;
  const uint32_t n = rte_ring_sc_dequeue_burst(setup_.from_main, mbufs.data(), kMaxBurst, nullptr);
  for (uint32_t i = 0; i < n; i++) {
    auto* mbuf = static_cast<rte_mbuf*>(mbufs[i]);
    const WorkerPort& port = setup_.port[mbuf->port];
    const bool sent = rte_eth_tx_burst(port.device, port.transmit_queue, &mbuf, 1) == 1;
    counters_.count(sent ? Counter::kFromTwin : Counter::kDropFromTwin);
    if (!sent) rte_pktmbuf_free(mbuf);
  }
  return n != 0;
}

}  // namespace sluice
