// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/packet.h"

namespace sluice {
namespace {

ParseVerdict parse_tcp(const uint8_t* data, uint32_t available, uint32_t l4_bytes, Packet& packet) noexcept {
  const uint32_t offset = packet.l4_offset;
  if (l4_bytes < tcp::kBytes || offset + tcp::kBytes > available) return ParseVerdict::kTruncated;
  const uint8_t* header = data + offset;
  const uint32_t header_bytes = (header[tcp::kOffset] >> 4) * 4U;
  if (header_bytes < tcp::kBytes) return ParseVerdict::kMalformed;
  if (header_bytes > l4_bytes || offset + header_bytes > available) return ParseVerdict::kTruncated;
  const uint8_t flags = header[tcp::kFlags] & (kTcpFin | kTcpSyn | kTcpRst | kTcpPsh | kTcpAck);
  if (contradictory_flags(flags)) return ParseVerdict::kMalformed;
  packet.tcp_flags = flags;
  packet.tcp_header_bytes = static_cast<uint8_t>(header_bytes);
  packet.payload_bytes = static_cast<uint16_t>(l4_bytes - header_bytes);
  packet.source.port.raw = load<uint16_t>(header + tcp::kSourcePort);
  packet.destination.port.raw = load<uint16_t>(header + tcp::kDestinationPort);
  packet.sequence = Be32{load<uint32_t>(header + tcp::kSequence)}.host();
  packet.ack = Be32{load<uint32_t>(header + tcp::kAck)}.host();
  return ParseVerdict::kTcp;
}

/// A fragment of a TCP segment: `l4_bytes` of it at `offset_units` times 8. What only an attacker sends is refused: a
/// first fragment without the whole TCP header, a second one that overlaps it, or a datagram that grows beyond 65535
/// bytes (RFC 1858 section 3, RFC 3128, RFC 5722).
ParseVerdict parse_fragment(const uint8_t* data, uint32_t available, uint32_t l4_bytes, uint32_t offset_units,
                            bool more, Packet& packet) noexcept {
  if (l4_bytes == 0 || (more && l4_bytes % 8 != 0)) return ParseVerdict::kMalformed;
  if (offset_units == 0) {
    const bool whole = parse_tcp(data, available, l4_bytes, packet) == ParseVerdict::kTcp;
    return whole ? ParseVerdict::kFirstFragment : ParseVerdict::kMalformed;
  }
  const bool overlaps_header = offset_units * 8 < tcp::kBytes;
  if (overlaps_header || offset_units * 8 + l4_bytes > 0xffff) return ParseVerdict::kMalformed;
  return ParseVerdict::kFragment;
}

ParseVerdict parse_ipv4(const uint8_t* data, uint32_t available, uint32_t frame_bytes, Packet& packet) noexcept {
  const uint32_t l3 = packet.l3_offset;
  if (l3 + ipv4::kBytes > available) return ParseVerdict::kTruncated;
  const uint8_t* header = data + l3;
  const uint32_t header_bytes = (header[0] & 0x0f) * 4U;
  if (header[0] >> 4 != 4 || header_bytes < ipv4::kBytes) return ParseVerdict::kMalformed;
  const uint32_t total = Be16{load<uint16_t>(header + ipv4::kTotalLength)}.host();
  if (total < header_bytes) return ParseVerdict::kMalformed;
  if (l3 + total > frame_bytes || l3 + header_bytes > available) return ParseVerdict::kTruncated;
  packet.v6 = false;
  packet.ip_bytes = static_cast<uint16_t>(total);
  packet.l4_offset = static_cast<uint16_t>(l3 + header_bytes);
  packet.source.address = Address::v4(Be32{load<uint32_t>(header + ipv4::kSource)});
  packet.destination.address = Address::v4(Be32{load<uint32_t>(header + ipv4::kDestination)});
  const uint32_t fragment = Be16{load<uint16_t>(header + ipv4::kFragment)}.host() & 0x3fff;
  const uint8_t protocol = header[ipv4::kProtocol];
  if (protocol == kProtocolIcmp && fragment == 0) return ParseVerdict::kIcmp;
  if (protocol != kProtocolTcp) return ParseVerdict::kOther;
  if (fragment == 0) return parse_tcp(data, available, total - header_bytes, packet);
  packet.fragment_id = Be16{load<uint16_t>(header + ipv4::kIdentification)}.host();
  return parse_fragment(data, available, total - header_bytes, fragment & 0x1fff, (fragment & 0x2000) != 0, packet);
}

ParseVerdict parse_ipv6(const uint8_t* data, uint32_t available, uint32_t frame_bytes, Packet& packet) noexcept {
  const uint32_t l3 = packet.l3_offset;
  if (l3 + ipv6::kBytes > available) return ParseVerdict::kTruncated;
  const uint8_t* header = data + l3;
  if (header[0] >> 4 != 6) return ParseVerdict::kMalformed;
  const uint32_t total = ipv6::kBytes + Be16{load<uint16_t>(header + ipv6::kPayloadLength)}.host();
  if (l3 + total > frame_bytes) return ParseVerdict::kTruncated;
  if (total > 0xffff) return ParseVerdict::kMalformed;
  packet.v6 = true;
  packet.ip_bytes = static_cast<uint16_t>(total);
  __builtin_memcpy(packet.source.address.bytes.data(), header + ipv6::kSource, 16);
  __builtin_memcpy(packet.destination.address.bytes.data(), header + ipv6::kDestination, 16);
  // They would be taken for those of IPv4 packets (RFC 4291 section 2.5.5.2; not for use on a wire).
  if (packet.source.address.is_v4() || packet.destination.address.is_v4()) return ParseVerdict::kV4Mapped;
  uint8_t next = header[ipv6::kNextHeader];
  uint32_t offset = ipv6::kBytes;
  bool first_fragment = false;
  for (uint32_t i = 0; i < kMaxExtensionHeaders && next != kProtocolTcp && next != kProtocolIcmp6; i++) {
    if (next == kFragmentHeader && !first_fragment) {
      if (offset + 8 > total || l3 + offset + 8 > available) return ParseVerdict::kTruncated;
      next = header[offset];
      const uint32_t fragment = Be16{load<uint16_t>(header + offset + 2)}.host();
      packet.fragment_id = Be32{load<uint32_t>(header + offset + 4)}.host();
      offset += 8;
      packet.l4_offset = static_cast<uint16_t>(l3 + offset);
      const uint32_t units = fragment >> 3;
      const bool more = (fragment & 1) != 0;
      if (units != 0) {
        if (next != kProtocolTcp) return ParseVerdict::kOther;
        return parse_fragment(data, available, total - offset, units, more, packet);
      }
      first_fragment = more;  // else the datagram is whole (RFC 6946)
      continue;
    }
    if (next != kHopByHop && next != kRouting && next != kDestinationOptions) return ParseVerdict::kOther;
    if (offset + 8 > total || l3 + offset + 8 > available) return ParseVerdict::kTruncated;
    next = header[offset];
    offset += (header[offset + 1] + 1U) * 8U;
    if (offset > total) return ParseVerdict::kTruncated;
  }
  packet.l4_offset = static_cast<uint16_t>(l3 + offset);
  if (next == kProtocolIcmp6 && !first_fragment) return ParseVerdict::kIcmp;
  if (next != kProtocolTcp) return ParseVerdict::kOther;
  if (first_fragment) return parse_fragment(data, available, total - offset, 0, true, packet);
  return parse_tcp(data, available, total - offset, packet);
}

}  // namespace

ParseVerdict parse_any(const rte_mbuf& mbuf, const MacAddress& own_mac, Packet& packet) noexcept {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  const uint32_t available = rte_pktmbuf_data_len(&mbuf);
  const uint32_t frame_bytes = rte_pktmbuf_pkt_len(&mbuf);
  if (available < kEthernetBytes) return ParseVerdict::kTruncated;
  if (load<uint32_t>(data) != load<uint32_t>(own_mac.bytes.data()) ||
      load<uint16_t>(data + 4) != load<uint16_t>(own_mac.bytes.data() + 4)) {
    return (data[0] & 1) != 0 ? ParseVerdict::kOther : ParseVerdict::kOtherHost;
  }
  uint32_t offset = kEthernetBytes;
  uint16_t type = Be16{load<uint16_t>(data + 12)}.host();
  packet.vlan = 0;
  packet.plain = Plain::kNo;
  if ((mbuf.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) {
    packet.vlan = mbuf.vlan_tci & 0x0fff;
  } else if (type == kEtherTypeVlan) {
    if (available < kEthernetBytes + kVlanBytes) return ParseVerdict::kTruncated;
    packet.vlan = Be16{load<uint16_t>(data + 14)}.host() & 0x0fff;
    type = Be16{load<uint16_t>(data + 16)}.host();
    offset += kVlanBytes;
  }
  packet.l3_offset = static_cast<uint16_t>(offset);
  if (type == kEtherTypeIpv4) return parse_ipv4(data, available, frame_bytes, packet);
  if (type == kEtherTypeIpv6) return parse_ipv6(data, available, frame_bytes, packet);
  if (type == kEtherTypeServiceVlan || type == kEtherTypeVlan) return ParseVerdict::kDoubleTagged;
  return ParseVerdict::kOther;
}

}  // namespace sluice
