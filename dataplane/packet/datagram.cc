// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/datagram.h"

#include "dataplane/packet/encapsulate.h"
#include "dataplane/packet/packet.h"

namespace sluice {
namespace {

constexpr uint16_t kEtherTypeArp = 0x0806;
constexpr uint16_t kEtherTypeSlow = 0x8809;  // LACP
constexpr uint16_t kEtherTypeLldp = 0x88cc;
constexpr uint16_t kFirstEtherType = 0x0600;  // what is below is a length
constexpr uint8_t kEchoRequest = 8, kEchoRequest6 = 128;
constexpr uint8_t kRouterSolicitation = 133, kRedirect = 137;
constexpr uint8_t kListenerQuery = 130, kListenerDone = 132, kListenerReport2 = 143;

/// The bytes of a frame from `offset` on.
struct Bytes {
  const uint8_t* data;
  uint32_t count;

  bool has(uint32_t n) const { return n <= count; }
  Bytes from(uint32_t n) const { return n <= count ? Bytes{data + n, count - n} : Bytes{data, 0}; }
  uint16_t half(uint32_t at) const { return Be16{load<uint16_t>(data + at)}.host(); }
};

void read_transport(Bytes bytes, Datagram& out) noexcept {
  if (out.is_icmp()) {
    if (bytes.has(1)) out.icmp_type = bytes.data[0];
  } else if ((out.protocol == kProtocolTcp || out.protocol == kProtocolUdp) && bytes.has(4)) {
    out.source.port.raw = load<uint16_t>(bytes.data);
    out.destination.port.raw = load<uint16_t>(bytes.data + 2);
  }
}

void read_ipv4(Bytes bytes, Datagram& out) noexcept {
  if (!bytes.has(ipv4::kBytes) || bytes.data[0] >> 4 != 4) return;
  out.kind = Datagram::Kind::kIp;
  out.protocol = bytes.data[ipv4::kProtocol];
  out.hops = bytes.data[ipv4::kTtl];
  out.source.address = Address::v4(Be32{load<uint32_t>(bytes.data + ipv4::kSource)});
  out.destination.address = Address::v4(Be32{load<uint32_t>(bytes.data + ipv4::kDestination)});
  out.fragment = (bytes.half(ipv4::kFragment) & 0x3fff) != 0;
  if (!out.fragment) read_transport(bytes.from((bytes.data[0] & 0x0f) * 4U), out);
}

void read_ipv6(Bytes bytes, Datagram& out) noexcept {
  if (!bytes.has(ipv6::kBytes) || bytes.data[0] >> 4 != 6) return;
  out.kind = Datagram::Kind::kIp;
  out.hops = bytes.data[ipv6::kHopLimit];
  __builtin_memcpy(out.source.address.bytes.data(), bytes.data + ipv6::kSource, 16);
  __builtin_memcpy(out.destination.address.bytes.data(), bytes.data + ipv6::kDestination, 16);
  uint8_t next = bytes.data[ipv6::kNextHeader];
  Bytes rest = bytes.from(ipv6::kBytes);
  for (uint32_t i = 0; i < kMaxExtensionHeaders && rest.has(8); i++) {
    if (next == kFragmentHeader) {
      out.fragment |= (rest.half(2) & 0xfff9) != 0;  // else the datagram is whole (RFC 6946)
      const bool is_first = (rest.half(2) & 0xfff8) == 0;
      next = rest.data[0];
      rest = rest.from(8);
      if (!is_first) break;  // behind it are bytes from within
    } else if (next == kHopByHop || next == kRouting || next == kDestinationOptions) {
      next = rest.data[0];
      rest = rest.from((rest.data[1] + 1U) * 8U);
    } else {
      break;
    }
  }
  out.protocol = next;
  if (!out.fragment) read_transport(rest, out);
}

}  // namespace

bool Datagram::is_icmp() const noexcept {
  return protocol == (destination.address.is_v4() ? kProtocolIcmp : kProtocolIcmp6);
}

bool Datagram::is_echo_request() const noexcept {
  return is_icmp() && !fragment && icmp_type == (destination.address.is_v4() ? kEchoRequest : kEchoRequest6);
}

bool Datagram::is_neighbor_discovery() const noexcept {
  return protocol == kProtocolIcmp6 && !destination.address.is_v4() && is_unrouted() &&
         icmp_type >= kRouterSolicitation && icmp_type <= kRedirect;
}

bool Datagram::is_group_membership() const noexcept {
  if (destination.address.is_v4()) return protocol == kProtocolIgmp;
  const bool listener = (icmp_type >= kListenerQuery && icmp_type <= kListenerDone) || icmp_type == kListenerReport2;
  return protocol == kProtocolIcmp6 && listener;
}

Datagram read_datagram(const rte_mbuf& mbuf) noexcept {
  Datagram out;
  Bytes bytes{rte_pktmbuf_mtod(&mbuf, const uint8_t*), rte_pktmbuf_data_len(&mbuf)};
  if (!bytes.has(kEthernetBytes)) return out;
  out.to_group = (bytes.data[0] & 1) != 0;
  uint16_t type = bytes.half(12);
  bytes = bytes.from(kEthernetBytes);
  if (type == kEtherTypeVlan && bytes.has(kVlanBytes)) {
    type = bytes.half(2);
    bytes = bytes.from(kVlanBytes);
  }
  if (type == kEtherTypeIpv4) {
    read_ipv4(bytes, out);
  } else if (type == kEtherTypeIpv6) {
    read_ipv6(bytes, out);
  } else if (type == kEtherTypeArp) {
    out.kind = Datagram::Kind::kArp;
  } else if (type < kFirstEtherType || type == kEtherTypeSlow || type == kEtherTypeLldp) {
    out.kind = Datagram::Kind::kLink;
  }
  return out;
}

}  // namespace sluice
