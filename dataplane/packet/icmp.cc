// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/icmp.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encapsulate.h"

namespace sluice {
namespace {

constexpr uint8_t kUnreachable4 = 3, kTimeExceeded4 = 11, kParameterProblem4 = 12;
constexpr uint8_t kFragmentationNeeded = 4;  // code of kUnreachable4
constexpr uint8_t kTooBig6 = 2, kLastError6 = 4;
constexpr uint32_t kQuotedAtLeast = 8;
constexpr uint32_t kErrorBytesMax4 = 576;   // RFC 1812 section 4.3.2.3
constexpr uint32_t kErrorBytesMax6 = 1280;  // RFC 4443 section 2.4 (c)

bool is_error(uint8_t type, bool v6) {
  if (v6) return type >= 1 && type <= kLastError6;
  return type == kUnreachable4 || type == kTimeExceeded4 || type == kParameterProblem4;
}

/// The quoted IPv4 header; `bytes` are present. Returns where TCP begins behind it, 0 if it does not.
uint32_t read_quoted_ipv4(const uint8_t* header, uint32_t bytes, IcmpError& error) {
  if (bytes < ipv4::kBytes || header[0] >> 4 != 4) return 0;
  const uint32_t header_bytes = (header[0] & 0x0f) * 4U;
  if (header_bytes < ipv4::kBytes || header[ipv4::kProtocol] != kProtocolTcp) return 0;
  if ((load<uint16_t>(header + ipv4::kFragment) & Be16::of(0x1fff).raw) != 0) return 0;
  error.source.address = Address::v4(Be32{load<uint32_t>(header + ipv4::kSource)});
  error.destination.address = Address::v4(Be32{load<uint32_t>(header + ipv4::kDestination)});
  return header_bytes;
}

/// The quoted IPv6 header and its extensions, likewise.
uint32_t read_quoted_ipv6(const uint8_t* header, uint32_t bytes, IcmpError& error) {
  if (bytes < ipv6::kBytes || header[0] >> 4 != 6) return 0;
  std::memcpy(error.source.address.bytes.data(), header + ipv6::kSource, 16);
  std::memcpy(error.destination.address.bytes.data(), header + ipv6::kDestination, 16);
  if (error.source.address.is_v4() || error.destination.address.is_v4()) return 0;  // those of IPv4 have a header of it
  uint8_t next = header[ipv6::kNextHeader];
  uint32_t offset = ipv6::kBytes;
  for (uint32_t i = 0; i < kMaxExtensionHeaders && next != kProtocolTcp; i++) {
    if (offset + 8 > bytes) return 0;
    if (next == kFragmentHeader) {
      if ((load<uint16_t>(header + offset + 2) & Be16::of(0xfff8).raw) != 0) return 0;
      next = header[offset];
      offset += 8;
      continue;
    }
    if (next != kHopByHop && next != kRouting && next != kDestinationOptions) return 0;
    next = header[offset];
    offset += (header[offset + 1] + 1U) * 8U;
  }
  return next == kProtocolTcp ? offset : 0;
}

/// The quoted segment whose IP header is at `l3`, with at least its ports and sequence number before `end`.
bool read_quoted(const uint8_t* data, uint32_t l3, uint32_t end, bool v6, IcmpError& error) {
  if (l3 >= end) return false;
  const uint32_t header_bytes =
      v6 ? read_quoted_ipv6(data + l3, end - l3, error) : read_quoted_ipv4(data + l3, end - l3, error);
  if (header_bytes == 0 || l3 + header_bytes + kQuotedAtLeast > end) return false;
  const uint8_t* header = data + l3 + header_bytes;
  error.source.port = Be16{load<uint16_t>(header + tcp::kSourcePort)};
  error.destination.port = Be16{load<uint16_t>(header + tcp::kDestinationPort)};
  error.sequence = Be32{load<uint32_t>(header + tcp::kSequence)}.host();
  error.l3_offset = static_cast<uint16_t>(l3);
  error.l4_offset = static_cast<uint16_t>(l3 + header_bytes);
  error.l4_bytes = static_cast<uint16_t>(end - l3 - header_bytes);
  return true;
}

/// The quoted outer header of a tunnel, `bytes` of which are present. Returns its length with UDP, 0 if it is none.
uint32_t read_quoted_tunnel(const uint8_t* header, uint32_t bytes, bool v6, Address& source, Address& destination) {
  const uint32_t ip_bytes = v6 ? ipv6::kBytes : ipv4::kBytes;
  const uint8_t first = v6 ? 0x60 : 0x45;
  if (bytes < ip_bytes + udp::kBytes || (v6 ? header[0] & 0xf0 : header[0]) != first) return 0;
  if (v6) {
    std::memcpy(source.bytes.data(), header + ipv6::kSource, 16);
    std::memcpy(destination.bytes.data(), header + ipv6::kDestination, 16);
  } else {
    source = Address::v4(Be32{load<uint32_t>(header + ipv4::kSource)});
    destination = Address::v4(Be32{load<uint32_t>(header + ipv4::kDestination)});
  }
  const uint8_t protocol = header[v6 ? ipv6::kNextHeader : ipv4::kProtocol];
  if (protocol == kProtocolIpv4 || protocol == kProtocolIpv6) return ip_bytes;
  const bool is_gue =
      protocol == kProtocolUdp && load<uint16_t>(header + ip_bytes + udp::kDestinationPort) == Be16::of(kGuePort).raw;
  return is_gue ? ip_bytes + udp::kBytes : 0;
}

/// Writes an address as the family has it.
void store_address(uint8_t* to, const Address& address, bool v6) {
  if (v6) {
    std::memcpy(to, address.bytes.data(), 16);
  } else {
    std::memcpy(to, &address.bytes[12], 4);
  }
}

/// Writes both addresses of an IP header. Returns the folded sums of what was there and of what is there now.
struct Sums {
  uint16_t before, after;
};
Sums replace_addresses(uint8_t* header, const Address& source, const Address& destination, bool v6) {
  const uint32_t at = v6 ? ipv6::kSource : ipv4::kSource;
  const uint32_t bytes = v6 ? 16 : 4;
  const uint16_t before = fold(sum_words(header + at, 2 * bytes));
  store_address(header + at, source, v6);
  store_address(header + at + bytes, destination, v6);
  return {before, fold(sum_words(header + at, 2 * bytes))};
}

void update_at(uint8_t* checksum, Sums sums) {
  store(checksum, update_checksum(load<uint16_t>(checksum), sums.before, sums.after));
}

void add_at(uint8_t* field, uint32_t shift) {
  store(field, Be32::of(Be32{load<uint32_t>(field)}.host() + shift));
}

/// Rewrites the quoted segment, `bytes` of which are present, and its checksum if that is among them.
void rewrite_quoted_tcp(uint8_t* header, uint32_t bytes, const IcmpRewrite& rewrite, Sums addresses) {
  const uint32_t changed = bytes >= tcp::kAck + 4 ? tcp::kAck + 4 : tcp::kAck;
  const uint16_t before = fold(uint64_t{fold(sum_words(header, changed))} + addresses.before);
  store(header + tcp::kSourcePort, rewrite.quoted_source.port);
  store(header + tcp::kDestinationPort, rewrite.quoted_destination.port);
  add_at(header + tcp::kSequence, rewrite.sequence_shift);
  if (changed > tcp::kAck) add_at(header + tcp::kAck, rewrite.ack_shift);
  if (bytes < tcp::kChecksum + 2) return;
  update_at(header + tcp::kChecksum, {before, fold(uint64_t{fold(sum_words(header, changed))} + addresses.after)});
}

void write_ethernet_back(uint8_t* data, const uint8_t* original, uint16_t vlan, uint16_t type) {
  std::memcpy(data, original + 6, 6);
  std::memcpy(data + 6, original, 6);
  uint8_t* at = data + 12;
  if (vlan != 0) {
    store(at, Be16::of(kEtherTypeVlan));
    store(at + 2, Be16::of(vlan));
    at += kVlanBytes;
  }
  store(at, Be16::of(type));
}

}  // namespace

bool read_icmp_error(const rte_mbuf& mbuf, const Packet& packet, IcmpError& error) noexcept {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  // Only what lies in the first segment of the mbuf is looked at.
  const uint32_t end = std::min<uint32_t>(packet.l3_offset + packet.ip_bytes, rte_pktmbuf_data_len(&mbuf));
  const uint32_t l3 = packet.l4_offset + icmp::kBytes;
  if (l3 >= end || !is_error(data[packet.l4_offset + icmp::kType], packet.v6)) return false;
  return read_quoted(data, l3, end, packet.v6, error) && error.source.address == packet.destination.address;
}

bool read_tunnel_too_big(const rte_mbuf& mbuf, const Packet& packet, TunnelTooBig& out) noexcept {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  const uint32_t end = std::min<uint32_t>(packet.l3_offset + packet.ip_bytes, rte_pktmbuf_data_len(&mbuf));
  const uint8_t* message = data + packet.l4_offset;
  const uint32_t outer = packet.l4_offset + icmp::kBytes;
  if (outer >= end) return false;
  const bool is_too_big = packet.v6
                              ? message[icmp::kType] == kTooBig6
                              : message[icmp::kType] == kUnreachable4 && message[icmp::kCode] == kFragmentationNeeded;
  if (!is_too_big) return false;
  Address source;
  const uint32_t overhead = read_quoted_tunnel(data + outer, end - outer, packet.v6, source, out.tunnel_destination);
  if (overhead == 0 || source != packet.destination.address || outer + overhead >= end) return false;
  out.inner_v6 = data[outer + overhead] >> 4 == 6;
  const uint32_t mtu = packet.v6 ? Be32{load<uint32_t>(message + icmp::kMtu6)}.host()
                                 : Be16{load<uint16_t>(message + icmp::kMtu4)}.host();
  if (mtu <= overhead || mtu > 0xffff) return false;
  out.mtu = static_cast<uint16_t>(mtu - overhead);
  return read_quoted(data, outer + overhead, end, out.inner_v6, out.inner);
}

void rewrite_icmp_error(rte_mbuf& mbuf, const Packet& packet, const IcmpError& error,
                        const IcmpRewrite& rewrite) noexcept {
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  uint8_t* outer = data + packet.l3_offset;
  uint8_t* message = data + packet.l4_offset;
  uint8_t* quoted = data + error.l3_offset;
  // The words from the quoted IP header to the end of the TCP header cover all that changes in the message.
  const uint32_t tcp_bytes = std::min<uint32_t>(error.l4_bytes & ~1U, tcp::kBytes);
  const uint32_t changing = error.l4_offset + tcp_bytes - error.l3_offset;
  const uint16_t before = fold(sum_words(quoted, changing));

  const Sums addresses =
      replace_addresses(quoted, rewrite.quoted_source.address, rewrite.quoted_destination.address, packet.v6);
  if (!packet.v6) update_at(quoted + ipv4::kChecksum, addresses);
  rewrite_quoted_tcp(data + error.l4_offset, error.l4_bytes, rewrite, addresses);
  const Sums message_sums{before, fold(sum_words(quoted, changing))};

  const Sums outer_sums = replace_addresses(outer, rewrite.source, rewrite.quoted_source.address, packet.v6);
  if (packet.v6) {
    outer[ipv6::kHopLimit]--;
    update_at(message + icmp::kChecksum, outer_sums);  // of the pseudo header
  } else {
    outer[ipv4::kTtl]--;
    store(outer + ipv4::kChecksum,
          update_checksum_and_ttl(load<uint16_t>(outer + ipv4::kChecksum), outer_sums.before, outer_sums.after));
  }
  update_at(message + icmp::kChecksum, message_sums);
}

void write_too_big(rte_mbuf& out, const rte_mbuf& mbuf, const Packet& packet, uint16_t mtu) noexcept {
  const auto* original = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  const uint32_t l2_bytes = kEthernetBytes + (packet.vlan != 0 ? kVlanBytes : 0);
  const uint32_t l3_bytes = packet.v6 ? ipv6::kBytes : ipv4::kBytes;
  const uint32_t room = (packet.v6 ? kErrorBytesMax6 : kErrorBytesMax4) - l3_bytes - icmp::kBytes;
  const uint32_t quoted_bytes =
      std::min({room, uint32_t{packet.ip_bytes}, uint32_t{rte_pktmbuf_data_len(&mbuf)} - packet.l3_offset});
  const uint32_t icmp_bytes = icmp::kBytes + quoted_bytes;
  out.data_len = static_cast<uint16_t>(l2_bytes + l3_bytes + icmp_bytes);
  out.pkt_len = out.data_len;

  auto* data = rte_pktmbuf_mtod(&out, uint8_t*);
  write_ethernet_back(data, original, packet.vlan, packet.v6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  uint8_t* header = data + l2_bytes;
  uint8_t* message = header + l3_bytes;
  std::memset(header, 0, l3_bytes + icmp::kBytes);
  std::memcpy(message + icmp::kBytes, original + packet.l3_offset, quoted_bytes);
  const Sums addresses = replace_addresses(header, packet.destination.address, packet.source.address, packet.v6);
  if (packet.v6) {
    header[0] = 0x60;
    store(header + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(icmp_bytes)));
    header[ipv6::kNextHeader] = kProtocolIcmp6;
    header[ipv6::kHopLimit] = kHops;
    message[icmp::kType] = kTooBig6;
    store(message + icmp::kMtu6, Be32::of(mtu));
    const uint64_t pseudo = uint64_t{addresses.after} + Be32::of(icmp_bytes).raw + Be16::of(kProtocolIcmp6).raw;
    store(message + icmp::kChecksum, static_cast<uint16_t>(~fold(sum_words(message, icmp_bytes, pseudo))));
  } else {
    header[0] = 0x45;
    store(header + ipv4::kTotalLength, Be16::of(static_cast<uint16_t>(l3_bytes + icmp_bytes)));
    header[ipv4::kTtl] = kHops;
    header[ipv4::kProtocol] = kProtocolIcmp;
    store(header + ipv4::kChecksum, ipv4_checksum(header, ipv4::kBytes));
    message[icmp::kType] = kUnreachable4;
    message[icmp::kCode] = kFragmentationNeeded;
    store(message + icmp::kMtu4, Be16::of(mtu));
    store(message + icmp::kChecksum, static_cast<uint16_t>(~fold(sum_words(message, icmp_bytes))));
  }
}

}  // namespace sluice
