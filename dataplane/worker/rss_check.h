// SPDX-License-Identifier: Apache-2.0
//
// Whether ports that are to put clients' packets before their owner do so, as far as a worker sees it in its queues.
// Nothing but packets can prove it: what a driver takes for an order, the card may do in another way. Nothing hangs on
// it either, as the owner is worked out for each packet: it is told to the operator, whose cores do more than they
// would have to. Only whole TCP segments count, and none behind IPv6 extension headers: of others cards see no ports.
// Thread safety: none; one worker owns it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/flow/owner_table.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/counters.h"
#include "dataplane/worker/setup.h"

namespace sluice {

class RssCheck {
 public:
  RssCheck(const WorkerSetup& setup, Counters& counters) noexcept : setup_(setup), counters_(counters) {
    for (uint32_t port = 0; port < setup.ports; port++) {
      const uint32_t room = setup.port[port].receive_descriptors;
      early_[port] = room == 0 ? kRoomNotKnown : room;
    }
  }

  /// So many packets came from a port, of `asked_for`. Returns whether they can be held against it: what was in the
  /// queue before it was emptied for the first time may have come before the card was told where to put it.
  bool took(uint32_t port, uint32_t packets, uint32_t asked_for) noexcept {
    if (setup_.port[port].proof == nullptr) return false;
    if (early_[port] == 0) [[likely]]
      return true;
    early_[port] = packets < asked_for || packets > early_[port] ? 0 : early_[port] - packets;
    return false;
  }

  static bool is_evidence(const Packet& packet, ParseVerdict verdict) noexcept {
    return verdict == ParseVerdict::kTcp && (!packet.v6 || packet.l4_offset - packet.l3_offset == kIpv6Bytes);
  }

  void right(uint32_t port, uint32_t packets) noexcept { add(setup_.port[port].proof->right, packets); }

  /// A segment of `client` came that another worker owns.
  [[gnu::noinline]] void misplaced(uint32_t port, const rte_mbuf& mbuf, const Endpoint& client) noexcept {
    counters_.count(Counter::kRssMisplaced);
    add(setup_.port[port].proof->misplaced[static_cast<size_t>(fault_of(mbuf, client))], 1);
  }

  /// What went wrong, as the card's own hash tells, where it gives it.
  static channel::SteeringFault fault_of(const rte_mbuf& mbuf, const Endpoint& client) noexcept {
    if ((mbuf.ol_flags & RTE_MBUF_F_RX_RSS_HASH) == 0) return channel::SteeringFault::kUnknown;
    const uint32_t hash = mbuf.hash.rss;
    if (hash == owner_hash_of(client) * 0x10001U) return channel::SteeringFault::kTable;
    return hash >> 16 == (hash & 0xffff) ? channel::SteeringFault::kFields : channel::SteeringFault::kKey;
  }

 private:
  static constexpr uint32_t kRoomNotKnown = 4096;
  static constexpr uint32_t kIpv6Bytes = 40;

  static void add(std::atomic<uint64_t>& to, uint64_t n) noexcept {
    to.store(to.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);  // there is no other writer
  }

  const WorkerSetup& setup_;
  Counters& counters_;
  std::array<uint32_t, channel::kMaxPorts> early_{};  // packets that may still be from before
};

}  // namespace sluice
