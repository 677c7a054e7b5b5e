// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet.h"

namespace sluice {
namespace {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragmentHeader = 44, kDestinationOptions = 60;
constexpr uint32_t kMaxExtensionHeaders = 4;

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
  if (header[ipv4::kProtocol] != kProtocolTcp) return ParseVerdict::kOther;
  if ((load<uint16_t>(header + ipv4::kFragment) & Be16::of(0x3fff).raw) != 0) return ParseVerdict::kFragment;
  return parse_tcp(data, available, total - header_bytes, packet);
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
  uint8_t next = header[ipv6::kNextHeader];
  uint32_t offset = ipv6::kBytes;
  for (uint32_t i = 0; i < kMaxExtensionHeaders && next != kProtocolTcp; i++) {
    if (next == kFragmentHeader) return ParseVerdict::kFragment;
    if (next != kHopByHop && next != kRouting && next != kDestinationOptions) return ParseVerdict::kOther;
    if (offset + 8 > total || l3 + offset + 8 > available) return ParseVerdict::kTruncated;
    next = header[offset];
    offset += (header[offset + 1] + 1U) * 8U;
    if (offset > total) return ParseVerdict::kTruncated;
  }
  if (next != kProtocolTcp) return ParseVerdict::kOther;
  packet.l4_offset = static_cast<uint16_t>(l3 + offset);
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
  return ParseVerdict::kOther;
}

}  // namespace sluice
