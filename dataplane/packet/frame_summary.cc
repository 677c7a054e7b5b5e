// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/frame_summary.h"

#include <algorithm>

#include "dataplane/packet/encapsulate.h"

namespace sluice {
namespace {

constexpr uint32_t kMaxEncapsulation = 2;
constexpr uint32_t kIcmpBytes = 8;

/// An IP header at `offset`, as far as its protocol can be told.
struct IpHeader {
  uint32_t end = 0;  // 0 = there is none
  uint32_t ip_bytes = 0;
  uint8_t protocol = 0;
  bool later_fragment = false;
  Address source, destination;
};

IpHeader read_ip(const uint8_t* data, uint32_t available, uint32_t offset) noexcept {
  IpHeader out;
  const uint8_t* header = data + offset;
  if (offset + ipv4::kBytes > available) return out;
  if (header[0] >> 4 == 4) {
    const uint32_t bytes = (header[0] & 0x0f) * 4U;
    if (bytes < ipv4::kBytes || offset + bytes > available) return out;
    out.ip_bytes = Be16{load<uint16_t>(header + ipv4::kTotalLength)}.host();
    out.protocol = header[ipv4::kProtocol];
    out.later_fragment = (Be16{load<uint16_t>(header + ipv4::kFragment)}.host() & 0x1fff) != 0;
    out.source = Address::v4(Be32{load<uint32_t>(header + ipv4::kSource)});
    out.destination = Address::v4(Be32{load<uint32_t>(header + ipv4::kDestination)});
    out.end = offset + bytes;
  } else if (header[0] >> 4 == 6 && offset + ipv6::kBytes <= available) {
    out.ip_bytes = ipv6::kBytes + Be16{load<uint16_t>(header + ipv6::kPayloadLength)}.host();
    out.protocol = header[ipv6::kNextHeader];  // extension headers count as content
    __builtin_memcpy(out.source.bytes.data(), header + ipv6::kSource, 16);
    __builtin_memcpy(out.destination.bytes.data(), header + ipv6::kDestination, 16);
    out.end = offset + ipv6::kBytes;
  }
  return out;
}

/// Where the payload of Generic UDP Encapsulation (draft-ietf-intarea-gue) begins; 0 if it carries no IP packet.
uint32_t inside_gue(const uint8_t* data, uint32_t available, uint32_t udp) noexcept {
  const uint32_t begin = udp + udp::kBytes;
  if (begin + 4 > available) return 0;
  if (Be16{load<uint16_t>(data + udp + 2)}.host() != kGuePort) return 0;
  const uint8_t first = data[begin];
  if (first >> 6 == 1) return begin;       // variant 1: the IP packet itself
  if ((first & 0xe0) != 0) return 0;       // another variant, or a control message
  return begin + 4 + (first & 0x1f) * 4U;  // variant 0
}

void read_tcp(const uint8_t* data, uint32_t available, uint32_t offset, const IpHeader& ip, uint32_t ip_begin,
              FrameSummary& out) noexcept {
  if (offset + tcp::kBytes > available) return;
  const uint8_t* header = data + offset;
  const uint32_t bytes = (header[tcp::kOffset] >> 4) * 4U;
  const uint32_t l4_bytes = ip.ip_bytes - std::min(ip.ip_bytes, ip.end - ip_begin);
  if (bytes < tcp::kBytes || bytes > l4_bytes) return;
  out.header_bytes = std::min(offset + bytes, available);
  out.tcp_flags = header[tcp::kFlags];
  out.frame.sequence = Be32{load<uint32_t>(header + tcp::kSequence)}.host();
  out.frame.ack = Be32{load<uint32_t>(header + tcp::kAck)}.host();
  out.frame.payload_bytes = static_cast<uint16_t>(l4_bytes - bytes);
}

}  // namespace

FrameSummary summarize(const uint8_t* data, uint32_t available) noexcept {
  FrameSummary out;
  uint32_t offset = kEthernetBytes;
  if (available < offset + kVlanBytes) return out;
  if (Be16{load<uint16_t>(data + 12)}.host() == kEtherTypeVlan) offset += kVlanBytes;
  out.header_bytes = offset;
  for (uint32_t depth = 0; depth <= kMaxEncapsulation; depth++) {
    const IpHeader ip = read_ip(data, available, offset);
    if (ip.end == 0) return out;
    out.header_bytes = ip.end;
    if (depth == 0) {
      out.is_ip = true;
      out.frame.source.address = ip.source;
      out.frame.destination.address = ip.destination;
      out.frame.ip_bytes = static_cast<uint16_t>(ip.ip_bytes);
    }
    if (ip.later_fragment) return out;
    if (depth == 0 && (ip.protocol == kProtocolTcp || ip.protocol == kProtocolUdp) && ip.end + 4 <= available) {
      out.frame.source.port.raw = load<uint16_t>(data + ip.end);
      out.frame.destination.port.raw = load<uint16_t>(data + ip.end + 2);
    }
    if (ip.protocol == kProtocolTcp) {
      read_tcp(data, available, ip.end, ip, offset, out);
      return out;
    }
    if (ip.protocol == kProtocolIcmp || ip.protocol == kProtocolIcmp6) {
      out.header_bytes = std::min(ip.end + kIcmpBytes, available);
      return out;
    }
    uint32_t inside = 0;
    if (ip.protocol == kProtocolIpv4 || ip.protocol == kProtocolIpv6) inside = ip.end;
    if (ip.protocol == kProtocolUdp) inside = inside_gue(data, available, ip.end);
    if (inside == 0 || inside >= available) return out;
    offset = inside;
  }
  return out;
}

}  // namespace sluice
