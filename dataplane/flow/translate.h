// SPDX-License-Identifier: Apache-2.0
//
// Rewrites a packet's headers for the other side: addresses, ports, TTL, Ethernet. Checksums are updated
// from precomputed sums (RFC 1624), so the cost does not depend on the packet's length, and an error
// that a packet came with stays visible to its receiver.
#pragma once

#include <rte_mbuf.h>

#include <array>

#include "dataplane/flow/flow_memory.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"

namespace sluice {

/// Puts an Ethernet header before the IP header at `packet.l3_offset`, with a tag if `vlan` is not 0.
/// `source_word`: the sender's MAC in the low 48 bits as it lies in memory.
inline void write_ethernet(rte_mbuf& mbuf, Packet& packet, const MacAddress& destination, uint64_t source_word,
                           uint16_t vlan) noexcept {
  const uint32_t bytes = kEthernetBytes + (vlan != 0 ? kVlanBytes : 0);
  const int32_t shift = static_cast<int32_t>(packet.l3_offset) - static_cast<int32_t>(bytes);
  if (shift != 0) [[unlikely]] {
    mbuf.data_off = static_cast<uint16_t>(mbuf.data_off + shift);
    mbuf.data_len = static_cast<uint16_t>(mbuf.data_len - shift);
    mbuf.pkt_len = static_cast<uint32_t>(static_cast<int32_t>(mbuf.pkt_len) - shift);
    packet.l4_offset = static_cast<uint16_t>(packet.l4_offset - shift);
    packet.l3_offset = static_cast<uint16_t>(bytes);
  }
  mbuf.ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  const uint64_t type = Be16::of(packet.v6 ? kEtherTypeIpv6 : kEtherTypeIpv4).raw;
  __builtin_memcpy(data, destination.bytes.data(), 6);
  store(data + 6, source_word | type << 48);
  if (vlan != 0) [[unlikely]] {
    store(data + 12, Be16::of(kEtherTypeVlan));
    store(data + 14, Be16::of(vlan));
    store(data + 16, static_cast<uint16_t>(type));
  }
}

/// The remaining hops of a packet.
inline uint8_t hop_limit(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  return rte_pktmbuf_mtod(&mbuf, const uint8_t*)[packet.l3_offset + (packet.v6 ? ipv6::kHopLimit : ipv4::kTtl)];
}

/// Which of the two endpoints of a packet is rewritten.
enum class Side : uint8_t { kSource, kDestination };

/// Replaces the address, takes one hop off, and brings both checksums up to date. The port is the caller's.
template <Side kSide>
inline void rewrite_ipv4_address(uint8_t* l3, uint8_t* l4, const Address& to, const EndpointSums& before,
                                 const EndpointSums& after) noexcept {
  __builtin_memcpy(l3 + (kSide == Side::kSource ? ipv4::kSource : ipv4::kDestination), &to.bytes[12], 4);
  l3[ipv4::kTtl]--;
  const uint64_t old_sums =
      load<uint16_t>(l4 + tcp::kChecksum) | static_cast<uint64_t>(load<uint16_t>(l3 + ipv4::kChecksum)) << 32;
  const uint64_t new_sums = update_checksums(old_sums, before, after);
  store(l4 + tcp::kChecksum, static_cast<uint16_t>(new_sums));
  store(l3 + ipv4::kChecksum, static_cast<uint16_t>(new_sums >> 32));
}

/// The same over IPv6, where there is but one checksum.
template <Side kSide>
inline void rewrite_ipv6_address(uint8_t* l3, uint8_t* l4, const Address& to, const EndpointSums& before,
                                 const EndpointSums& after) noexcept {
  __builtin_memcpy(l3 + (kSide == Side::kSource ? ipv6::kSource : ipv6::kDestination), to.bytes.data(), 16);
  l3[ipv6::kHopLimit]--;
  store(l4 + tcp::kChecksum,
        update_checksum(load<uint16_t>(l4 + tcp::kChecksum), static_cast<uint16_t>(before.endpoint),
                        static_cast<uint16_t>(after.endpoint)));
}

/// Replaces one endpoint of a TCP packet, whose sums are `before`, by `to`, and takes one hop off.
template <Side kSide>
inline void rewrite_endpoint(rte_mbuf& mbuf, const Packet& packet, const Endpoint& to, const EndpointSums& before,
                             const EndpointSums& after) noexcept {
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  uint8_t* l3 = data + packet.l3_offset;
  uint8_t* l4 = data + packet.l4_offset;
  store(l4 + (kSide == Side::kSource ? tcp::kSourcePort : tcp::kDestinationPort), to.port.raw);
  if (packet.v6) {
    rewrite_ipv6_address<kSide>(l3, l4, to.address, before, after);
  } else {
    rewrite_ipv4_address<kSide>(l3, l4, to.address, before, after);
  }
}

/// NAT towards a backend: the destination becomes the backend's endpoint.
inline void to_backend(rte_mbuf& mbuf, const Packet& packet, const Service& service, const Backend& backend) noexcept {
  rewrite_endpoint<Side::kDestination>(mbuf, packet, backend.endpoint, service.sums, backend.sums);
}

/// NAT back towards the client: the source becomes the service's VIP.
inline void to_client(rte_mbuf& mbuf, const Packet& packet, const Service& service, const Backend& backend) noexcept {
  rewrite_endpoint<Side::kSource>(mbuf, packet, service.vip, backend.sums, service.sums);
}

/// Replaces both endpoints of a TCP packet whose family is known, for fullnat, and takes one hop off.
template <bool kV6>
inline void rewrite_both(uint8_t* l3, uint8_t* l4, const Endpoint& source, const Endpoint& destination) noexcept {
  constexpr uint32_t kBytes = kV6 ? 16 : 4;
  constexpr uint64_t kOneHop = 0xfffe;  // as in update_checksum_and_ttl()
  std::array<uint8_t, 2 * kBytes> addresses;
  __builtin_memcpy(addresses.data(), source.address.bytes.data() + 16 - kBytes, kBytes);
  __builtin_memcpy(addresses.data() + kBytes, destination.address.bytes.data() + 16 - kBytes, kBytes);
  uint8_t* at = l3 + (kV6 ? ipv6::kSource : ipv4::kSource);
  const uint64_t change = sum_of_change<2 * kBytes>(at, addresses.data());
  __builtin_memcpy(at, addresses.data(), addresses.size());
  if constexpr (kV6) {
    l3[ipv6::kHopLimit]--;
  } else {
    l3[ipv4::kTtl]--;
    store(l3 + ipv4::kChecksum, apply_change(load<uint16_t>(l3 + ipv4::kChecksum), change + kOneHop));
  }
  const auto ports_before = load<uint32_t>(l4 + tcp::kSourcePort);
  const uint32_t ports = source.port.raw | uint32_t{destination.port.raw} << 16;
  store(l4 + tcp::kSourcePort, ports);
  store(l4 + tcp::kChecksum,
        apply_change(load<uint16_t>(l4 + tcp::kChecksum), change + uint64_t{~ports_before} + ports));
}

/// The same of any. All addresses are of one family.
inline void rewrite_both(rte_mbuf& mbuf, const Packet& packet, const Endpoint& source,
                         const Endpoint& destination) noexcept {
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  const auto rewrite = packet.v6 ? rewrite_both<true> : rewrite_both<false>;
  rewrite(data + packet.l3_offset, data + packet.l4_offset, source, destination);
}

}  // namespace sluice
