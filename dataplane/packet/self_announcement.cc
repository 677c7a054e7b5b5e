// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/self_announcement.h"

#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>

#include <cstring>

namespace sluice {

rte_mbuf* make_self_announcement(const MacAddress& mac, rte_mempool* pool) {
  constexpr uint16_t kFrameBytes = RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN;
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
  if (mbuf == nullptr) return nullptr;
  auto* frame = rte_pktmbuf_append(mbuf, kFrameBytes);
  if (frame == nullptr) {
    rte_pktmbuf_free(mbuf);
    return nullptr;
  }
  rte_ether_addr own{};
  std::memcpy(own.addr_bytes, mac.bytes.data(), mac.bytes.size());
  rte_ether_hdr ethernet{.src_addr = own, .ether_type = RTE_BE16(RTE_ETHER_TYPE_RARP)};
  std::memset(ethernet.dst_addr.addr_bytes, 0xff, sizeof ethernet.dst_addr.addr_bytes);
  rte_arp_hdr request{};
  request.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
  request.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
  request.arp_hlen = RTE_ETHER_ADDR_LEN;
  request.arp_plen = 4;
  request.arp_opcode = RTE_BE16(RTE_ARP_OP_REVREQUEST);
  request.arp_data.arp_sha = own;
  request.arp_data.arp_tha = own;
  std::memset(frame, 0, kFrameBytes);
  std::memcpy(frame, &ethernet, sizeof ethernet);
  std::memcpy(frame + sizeof ethernet, &request, sizeof request);
  return mbuf;
}

}  // namespace sluice
