// SPDX-License-Identifier: Apache-2.0
//
// Tunnels to backends: IP in IP (RFC 2003, RFC 2473, RFC 4213) and GUE variant 1 (draft-ietf-intarea-gue: IP straight
// in UDP, port 6080), in any mix of families. Outer headers carry the inner packet's DSCP and ECN bits (RFC 2983
// section 3.1, RFC 6040 section 4.1), never ask for fragmentation, and spread over paths by source port (GUE) and flow
// label (RFC 6438).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"

namespace sluice {

namespace udp {
inline constexpr uint32_t kSourcePort = 0, kDestinationPort = 2, kLength = 4, kChecksum = 6, kBytes = 8;
}

inline constexpr uint16_t kGuePort = 6080;
inline constexpr uint8_t kProtocolIpv4 = 4, kProtocolIpv6 = 41, kProtocolUdp = 17;

/// The outer header of a flow's packets.
struct Tunnel {
  const Address& source;       // ours
  const Address& destination;  // the backend's, of the same family
  uint32_t address_sums;       // address_sum() of both, added
  bool gue = false;            // else IP in IP
  uint16_t entropy = 0;        // some hash of the flow, where it has_entropy()

  /// Whether its header spreads flows over paths: by GUE's source port, or IPv6's flow label.
  bool has_entropy() const noexcept { return gue || !destination.is_v4(); }
};

/// Bytes that a packet grows by.
constexpr uint32_t tunnel_overhead(bool gue, bool outer_v6) {
  return (outer_v6 ? ipv6::kBytes : ipv4::kBytes) + (gue ? udp::kBytes : 0);
}

/// The largest segment that a tunnel carries whole through `mtu` bytes, by the inner packet's family.
constexpr uint16_t tunnel_mss(uint16_t mtu, uint32_t overhead, bool inner_v6) {
  const uint32_t headers = overhead + (inner_v6 ? ipv6::kBytes : ipv4::kBytes) + tcp::kBytes;
  return static_cast<uint16_t>(mtu > headers ? mtu - headers : 0);
}

/// Puts the outer header before the IP packet in `mbuf`; `packet` then describes the outer packet, but for its
/// l4_offset. False if the mbuf has no room. Cost: does not depend on the packet's length, except for what is no whole
/// TCP segment in GUE.
bool encapsulate(rte_mbuf& mbuf, Packet& packet, const Tunnel& tunnel) noexcept;

/// Takes one hop off the packet's TTL or hop limit.
inline void take_hop(rte_mbuf& mbuf, const Packet& packet) noexcept {
  uint8_t* header = rte_pktmbuf_mtod(&mbuf, uint8_t*) + packet.l3_offset;
  if (packet.v6) {
    header[ipv6::kHopLimit]--;
    return;
  }
  header[ipv4::kTtl]--;
  store(header + ipv4::kChecksum, update_checksum_and_ttl(load<uint16_t>(header + ipv4::kChecksum), 0, 0));
}

}  // namespace sluice
