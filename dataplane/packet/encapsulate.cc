// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/encapsulate.h"

#include <rte_ip.h>

#include <cstring>

namespace sluice {
namespace {

constexpr uint16_t kFirstEntropyPort = 0xc000;  // RFC 6335 section 6: dynamic ports

uint8_t traffic_class(const uint8_t* header, bool v6) {
  return v6 ? static_cast<uint8_t>(header[0] << 4 | header[1] >> 4) : header[1];
}

/// Two bytes as a word of the packet, and a third of two.
constexpr uint32_t word_of(uint8_t first, uint8_t second, uint16_t rest = 0) {
  return first | uint32_t{second} << 8 | uint32_t{rest} << 16;
}

/// Words at a time, and their sum from the same registers: what is stored in small pieces cannot be loaded back at
/// once.
void write_outer_ipv4(uint8_t* header, const Tunnel& tunnel, uint8_t protocol, uint8_t traffic_class, uint32_t bytes) {
  constexpr uint32_t kDoNotFragment = uint32_t{0x40} << 16;
  const uint32_t length = word_of(0x45, traffic_class, Be16::of(static_cast<uint16_t>(bytes)).raw);
  const uint32_t hops = word_of(kHops, protocol);
  const uint16_t checksum = ~fold(uint64_t{length} + kDoNotFragment + hops + tunnel.address_sums) & 0xffff;
  store(header, length);
  store(header + ipv4::kIdentification, kDoNotFragment);
  store(header + ipv4::kTtl, hops | uint32_t{checksum} << 16);
  store(header + ipv4::kSource, tunnel.source.v4_part());
  store(header + ipv4::kDestination, tunnel.destination.v4_part());
}

void write_outer_ipv6(uint8_t* header, const Tunnel& tunnel, uint8_t protocol, uint8_t traffic_class, uint32_t bytes) {
  store(header, Be32::of(0x60000000U | uint32_t{traffic_class} << 20 | tunnel.entropy));
  store(header + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(bytes - ipv6::kBytes)));
  header[ipv6::kNextHeader] = protocol;
  header[ipv6::kHopLimit] = kHops;
  std::memcpy(header + ipv6::kSource, tunnel.source.bytes.data(), 16);
  std::memcpy(header + ipv6::kDestination, tunnel.destination.bytes.data(), 16);
}

/// Whether the packet is a TCP segment straight behind its IP header, not a fragment of one.
bool is_whole_segment(const uint8_t* header, bool v6) {
  if (v6) return header[ipv6::kNextHeader] == kProtocolTcp;
  return header[ipv4::kProtocol] == kProtocolTcp &&
         (load<uint16_t>(header + ipv4::kFragment) & Be16::of(0x3fff).raw) == 0;
}

/// The sum of all words of the packet whose IP header is at `packet.l3_offset`. A right TCP checksum makes the segment
/// with its pseudo header sum up to nothing, as it does an IPv4 header: what is left is the opposite of the pseudo
/// header, and the payload need not be read.
uint64_t sum_of(const rte_mbuf& mbuf, const Packet& packet) {
  const auto* header = rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l3_offset;
  const uint32_t header_bytes = packet.l4_offset - packet.l3_offset;
  if (!is_whole_segment(header, packet.v6)) {
    uint16_t sum = 0;
    rte_raw_cksum_mbuf(&mbuf, packet.l3_offset, packet.ip_bytes, &sum);
    return sum;
  }
  const uint32_t at = packet.v6 ? ipv6::kSource : ipv4::kSource;
  const uint64_t pseudo = sum_words(header + at, packet.v6 ? 32 : 8) + Be16::of(kProtocolTcp).raw +
                          Be16::of(static_cast<uint16_t>(packet.ip_bytes - header_bytes)).raw;
  const auto segment = static_cast<uint16_t>(~fold(pseudo));
  return packet.v6 ? sum_words(header, ipv6::kBytes, segment) : segment;
}

void write_udp(uint8_t* header, const Tunnel& tunnel, uint32_t bytes, uint64_t inner_sum) {
  const uint16_t length = Be16::of(static_cast<uint16_t>(bytes)).raw;
  const uint32_t ports =
      Be16::of(static_cast<uint16_t>(kFirstEntropyPort | tunnel.entropy)).raw | uint32_t{Be16::of(kGuePort).raw} << 16;
  const uint64_t pseudo = uint64_t{tunnel.address_sums} + Be16::of(kProtocolUdp).raw + length;
  const auto checksum = static_cast<uint16_t>(~fold(pseudo + ports + length + inner_sum));
  store(header + udp::kSourcePort, ports);
  store(header + udp::kLength, length);
  store(header + udp::kChecksum, checksum == 0 ? uint16_t{0xffff} : checksum);  // 0 means none (RFC 768)
}

}  // namespace

bool encapsulate(rte_mbuf& mbuf, Packet& packet, const Tunnel& tunnel) noexcept {
  const bool outer_v6 = !tunnel.destination.is_v4();
  const uint32_t overhead = tunnel_overhead(tunnel.gue, outer_v6);
  const uint32_t bytes = packet.ip_bytes + overhead;
  if (rte_pktmbuf_headroom(&mbuf) < overhead || bytes > 0xffff) return false;
  const uint64_t inner_sum = tunnel.gue ? sum_of(mbuf, packet) : 0;
  mbuf.data_off = static_cast<uint16_t>(mbuf.data_off - overhead);
  mbuf.data_len = static_cast<uint16_t>(mbuf.data_len + overhead);
  mbuf.pkt_len += overhead;

  uint8_t* header = rte_pktmbuf_mtod(&mbuf, uint8_t*) + packet.l3_offset;
  const uint8_t of_inner = traffic_class(header + overhead, packet.v6);
  const uint8_t inner_protocol = packet.v6 ? kProtocolIpv6 : kProtocolIpv4;
  const uint8_t protocol = tunnel.gue ? kProtocolUdp : inner_protocol;
  if (outer_v6) {
    write_outer_ipv6(header, tunnel, protocol, of_inner, bytes);
  } else {
    write_outer_ipv4(header, tunnel, protocol, of_inner, bytes);
  }
  if (tunnel.gue) {
    const uint32_t ip_header_bytes = overhead - udp::kBytes;
    write_udp(header + ip_header_bytes, tunnel, bytes - ip_header_bytes, inner_sum);
  }
  packet.v6 = outer_v6;
  packet.ip_bytes = static_cast<uint16_t>(bytes);
  return true;
}

}  // namespace sluice
