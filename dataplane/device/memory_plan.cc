// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/memory_plan.h"

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace sluice {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr uint32_t kLcoresPerPool = 2;  // the worker and main

}  // namespace

uint32_t driver_extra_mbufs(const char* driver) {
  // AF_XDP: besides the transmit ring (2048), packets wait in the completion ring (2048) until they are collected. The
  // fill and receive rings hold 2048 between them: the receive descriptors.
  return std::strcmp(driver, "net_af_xdp") == 0 ? 2048 : 0;
}

uint32_t pool_mbufs(std::span<const QueueDemand> queues, uint32_t twins, uint32_t peers) {
  uint32_t mbufs = 0;
  const auto ports = static_cast<uint32_t>(queues.size());
  for (const QueueDemand& queue : queues) {
    mbufs += queue.receive_descriptors + queue.transmit_descriptors + queue.driver_extra;
    mbufs += 2 * kMaxBurst;  // in the worker's hands: received, and waiting to be sent on this port
  }
  mbufs += ports * std::reduce(kPuntRingEntries.begin(), kPuntRingEntries.end());  // on their way to main
  mbufs += kTwinRingEntries;                                                       // and from it
  mbufs += kMostHeldReplies;                                                       // waiting for a peer's word
  mbufs += peers * 2 * (kHandoverRingEntries + kMaxBurst);  // handed over to other workers, and back to be sent
  mbufs += twins * (kTwinDescriptors + kMaxBurst);          // at the ready for the kernel, and in main's hands
  mbufs += kLcoresPerPool * kPoolCache * 3 / 2;             // a cache is flushed at one and a half times its size
  return std::bit_ceil(mbufs + 1) - 1;                      // what a ring-based pool stores without waste
}

uint16_t pool_data_room(uint16_t mtu) {
  constexpr uint32_t kTags = 2 * RTE_VLAN_HLEN;
  const uint32_t frame = mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + kTags;
  const uint32_t rounded = (std::max<uint32_t>(frame, RTE_MBUF_DEFAULT_DATAROOM) + 63) / 64 * 64;
  return static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + rounded);
}

size_t pool_bytes(uint32_t mbufs, uint16_t data_room, bool several_to_a_page) {
  constexpr size_t kRingAndCaches = 16;  // per buffer: a place in the pool's ring, and rounding
  size_t each = rte_mempool_calc_obj_size(static_cast<uint32_t>(sizeof(rte_mbuf) + data_room), 0, nullptr);
  if (!several_to_a_page) each = (each + kPageBytes - 1) / kPageBytes * kPageBytes;
  return mbufs * (each + kRingAndCaches) + (size_t{2} << 20);
}

}  // namespace sluice
