// SPDX-License-Identifier: Apache-2.0
//
// Whether a frame comes by way of a backend's next hop. Where a port leads to clients and backends alike, an address
// alone says nothing: anybody there can write a backend's into a packet. The station and VLAN that we send to are those
// that the backend's packets come from: its own card, or the router before it.
//
// When a server gets another card, or a router another MAC, its packets are dropped until the kernel's neighbour entry
// has changed and control has told of it. What was dropped is sent again by TCP, which also stirs the neighbour entry
// up.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/packet/packet.h"
#include "dataplane/worker/forwarding_state.h"

namespace sluice {

inline bool is_from_next_hop(const rte_mbuf& mbuf, const Packet& packet, const Backend& backend) noexcept {
  const auto* source = rte_pktmbuf_mtod(&mbuf, const uint8_t*) + 6;
  return __builtin_memcmp(source, backend.next_hop.bytes.data(), backend.next_hop.bytes.size()) == 0 &&
         packet.vlan == backend.vlan;
}

/// Whether it need not, or does.
inline bool is_vouched_for(Faces faces, const rte_mbuf& mbuf, const Packet& packet, const Backend& backend) noexcept {
  return faces != Faces::kBoth || is_from_next_hop(mbuf, packet, backend);
}

}  // namespace sluice
