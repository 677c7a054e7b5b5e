// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/reset.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"

namespace sluice {
namespace {

size_t tcp_bytes(const MadeSegment& segment) {
  return tcp::kBytes + segment.options.size() + segment.payload.size();
}

void write_ipv4(uint8_t* header, const MadeSegment& segment) noexcept {
  std::memset(header, 0, ipv4::kBytes);
  header[0] = 0x45;
  store(header + ipv4::kTotalLength, Be16::of(static_cast<uint16_t>(ipv4::kBytes + tcp_bytes(segment))));
  store(header + ipv4::kFragment, Be16::of(0x4000));  // do not fragment
  header[ipv4::kTtl] = kHops;
  header[ipv4::kProtocol] = kProtocolTcp;
  store(header + ipv4::kSource, segment.source.address.v4_part());
  store(header + ipv4::kDestination, segment.destination.address.v4_part());
  store(header + ipv4::kChecksum, ipv4_checksum(header, ipv4::kBytes));
}

void write_ipv6(uint8_t* header, const MadeSegment& segment) noexcept {
  std::memset(header, 0, ipv6::kBytes);
  header[0] = 0x60;
  store(header + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(tcp_bytes(segment))));
  header[ipv6::kNextHeader] = kProtocolTcp;
  header[ipv6::kHopLimit] = kHops;
  std::memcpy(header + ipv6::kSource, segment.source.address.bytes.data(), 16);
  std::memcpy(header + ipv6::kDestination, segment.destination.address.bytes.data(), 16);
}

void write_tcp(uint8_t* header, const MadeSegment& segment) noexcept {
  std::memset(header, 0, tcp::kBytes);
  store(header + tcp::kSourcePort, segment.source.port);
  store(header + tcp::kDestinationPort, segment.destination.port);
  store(header + tcp::kSequence, Be32::of(segment.sequence));
  store(header + tcp::kAck, Be32::of(segment.ack));
  header[tcp::kOffset] = static_cast<uint8_t>((tcp::kBytes + segment.options.size()) / 4 << 4);
  header[tcp::kFlags] = segment.flags;
  store(header + tcp::kWindow, segment.window);
  uint8_t* next = std::copy(segment.options.begin(), segment.options.end(), header + tcp::kBytes);
  std::copy(segment.payload.begin(), segment.payload.end(), next);
  store(header + tcp::kChecksum,
        tcp_checksum(segment.source.address, segment.destination.address, header, tcp_bytes(segment)));
}

}  // namespace

void write_segment(rte_mbuf& mbuf, const MadeSegment& segment) noexcept {
  const bool v6 = !segment.source.address.is_v4();
  const uint32_t l2_bytes = kEthernetBytes + (segment.vlan != 0 ? kVlanBytes : 0);
  const uint32_t l3_bytes = v6 ? ipv6::kBytes : ipv4::kBytes;
  const auto bytes = static_cast<uint32_t>(l2_bytes + l3_bytes + tcp_bytes(segment));
  if (mbuf.next != nullptr) {
    rte_pktmbuf_free(mbuf.next);
    mbuf.next = nullptr;
  }
  mbuf.nb_segs = 1;
  rte_pktmbuf_reset_headroom(&mbuf);
  mbuf.data_len = static_cast<uint16_t>(bytes);
  mbuf.pkt_len = bytes;
  mbuf.ol_flags = 0;

  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  std::memcpy(data, segment.destination_mac.bytes.data(), 6);
  std::memcpy(data + 6, segment.source_mac.bytes.data(), 6);
  if (segment.vlan != 0) {
    store(data + 12, Be16::of(kEtherTypeVlan));
    store(data + 14, Be16::of(segment.vlan));
  }
  store(data + l2_bytes - 2, Be16::of(v6 ? kEtherTypeIpv6 : kEtherTypeIpv4));
  if (v6) {
    write_ipv6(data + l2_bytes, segment);
  } else {
    write_ipv4(data + l2_bytes, segment);
  }
  write_tcp(data + l2_bytes + l3_bytes, segment);
}

MadeSegment reset_answering(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  MadeSegment out;
  out.source = packet.destination;
  out.destination = packet.source;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  std::memcpy(out.source_mac.bytes.data(), data, 6);
  std::memcpy(out.destination_mac.bytes.data(), data + 6, 6);
  out.vlan = packet.vlan;
  if ((packet.tcp_flags & kTcpAck) != 0) {
    out.sequence = packet.ack;
  } else {
    out.flags = kTcpRst | kTcpAck;
    out.ack = packet.sequence + packet.sequence_length();
  }
  return out;
}

}  // namespace sluice
