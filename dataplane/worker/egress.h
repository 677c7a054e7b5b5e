// SPDX-License-Identifier: Apache-2.0
//
// All that leaves a worker through ports: a queue for each, emptied when it is full and at the end of a poll iteration;
// packets for the kernel twins' devices; buffers for packets that the worker makes; drops. A packet that the worker
// made is marked in its queue, as it was never received and so is counted apart. Ports without a transmit queue of this
// worker's are served by the worker that has one. Thread safety: none; one worker owns it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/worker/counters.h"
#include "dataplane/worker/handover.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// Frames waiting to be sent through one port.
struct OutQueue {
  static constexpr uint32_t kSize = 2 * kMaxBurst;

  uint32_t count = 0;
  std::array<uint64_t, kSize / 64> made{};  // bit i: mbufs[i] was made here, not received
  std::array<rte_mbuf*, kSize> mbufs;

  bool is_made(uint32_t i) const noexcept { return (made[i / 64] >> (i % 64) & 1) != 0; }
};

class Egress {
 public:
  Egress(const WorkerSetup& setup, Counters& counters, Handover& handover) noexcept;

  uint16_t mtu(uint32_t port) const noexcept { return mtu_[port]; }
  const MacAddress& mac(uint32_t port) const noexcept { return setup_.port[port].mac; }
  /// A port's MAC in the low 48 bits, as it lies in memory.
  uint64_t mac_word(uint32_t port) const noexcept { return mac_word_[port]; }

  /// Queues a frame that was received.
  void send(uint32_t port, rte_mbuf* mbuf) noexcept {
    OutQueue& queue = out_[port];
    queue.mbufs[queue.count++] = mbuf;
    if (queue.count == OutQueue::kSize) [[unlikely]]
      transmit(port);
  }

  /// Queues a frame that this worker made.
  void send_made(uint32_t port, rte_mbuf* mbuf) noexcept {
    OutQueue& queue = out_[port];
    queue.made[queue.count / 64] |= 1ULL << (queue.count % 64);
    send(port, mbuf);
  }

  /// A buffer for a packet to be made; null, and counted, if there is none.
  rte_mbuf* take_buffer() noexcept {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(setup_.pool);
    if (mbuf == nullptr) counters_.count(Counter::kDropMade);
    return mbuf;
  }

  void drop(rte_mbuf* mbuf, Counter reason) noexcept;

  const OutQueue& queue(uint32_t port) const noexcept { return out_[port]; }
  void transmit(uint32_t port) noexcept;

  /// Sends what the main lcore has for the ports' devices. Returns whether there was anything.
  bool send_for_main() noexcept;

 private:
  void hand_to_sender(uint32_t port) noexcept;

  const WorkerSetup& setup_;
  Counters& counters_;
  Handover& handover_;
  std::array<uint64_t, channel::kMaxPorts> mac_word_{};
  std::array<uint16_t, channel::kMaxPorts> mtu_{};
  std::array<OutQueue, channel::kMaxPorts> out_;
};

}  // namespace sluice
