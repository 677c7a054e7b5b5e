// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/probe_messages.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sluice::ctl {

namespace {

using config::IpAddress;
using control::ArpMessage;
using control::NeighborMessage;
using Bytes = std::span<const uint8_t>;

constexpr MacAddress kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr uint8_t kProtocolTcp = 6;
constexpr size_t kTcpChecksumAt = 16, kTcpHeader = 20, kIpv4Header = 20, kIpv6Header = 40;
constexpr uint16_t kWindow = 1024;

uint16_t u16(Bytes bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

uint32_t u32(Bytes bytes, size_t at) {
  return uint32_t{u16(bytes, at)} << 16 | u16(bytes, at + 2);
}

IpAddress v4_at(Bytes bytes, size_t at) {
  IpAddress out{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
  std::ranges::copy(bytes.subspan(at, 4), out.bytes.begin() + 12);
  return out;
}

IpAddress v6_at(Bytes bytes, size_t at) {
  IpAddress out;
  std::ranges::copy(bytes.subspan(at, 16), out.bytes.begin());
  return out;
}

MacAddress mac_at(Bytes bytes, size_t at) {
  MacAddress out;
  std::ranges::copy(bytes.subspan(at, 6), out.bytes.begin());
  return out;
}

Heard heard_in_arp(Bytes packet) {
  constexpr size_t kLength = 28, kOperationAt = 6, kSenderMacAt = 8, kSenderAt = 14;
  constexpr uint8_t kHead[] = {0, 1, 8, 0, 6, 4};  // Ethernet and IPv4
  if (packet.size() < kLength || !std::ranges::equal(packet.first(sizeof kHead), kHead)) return {};
  if (u16(packet, kOperationAt) != control::kArpReply) return {};
  return Claim{v4_at(packet, kSenderAt), mac_at(packet, kSenderMacAt)};
}

/// RFC 4861, 4.4. Without the option, the station that sent it is meant.
Heard heard_in_advertisement(Bytes message, const MacAddress& station) {
  constexpr size_t kTargetAt = 8, kOptionsAt = 24, kUnit = 8;
  constexpr uint8_t kTargetLinkLayerAddress = 2;
  if (message.size() < kOptionsAt || message[0] != control::kNeighborAdvertisement || message[1] != 0) return {};
  Claim out{v6_at(message, kTargetAt), station};
  if (out.address.is_v4()) return {};
  for (Bytes options = message.subspan(kOptionsAt); options.size() >= kUnit;) {
    const size_t length = options[1] * kUnit;
    if (length == 0 || length > options.size()) return {};
    if (options[0] == kTargetLinkLayerAddress) out.mac = mac_at(options, 2);
    options = options.subspan(length);
  }
  return out;
}

Heard heard_in_tcp(Bytes message, const IpAddress& from, const IpAddress& to) {
  constexpr size_t kSequenceAt = 4, kAcknowledgementAt = 8, kFlagsAt = 13;
  constexpr uint8_t kKnown = Segment::kSyn | Segment::kRst | Segment::kAck;
  if (message.size() < kTcpHeader) return {};
  return Segment{{from, u16(message, 0)},
                 {to, u16(message, 2)},
                 u32(message, kSequenceAt),
                 u32(message, kAcknowledgementAt),
                 static_cast<uint8_t>(message[kFlagsAt] & kKnown)};
}

Heard heard_in_ipv4(Bytes packet) {
  constexpr size_t kFragmentAt = 6, kProtocolAt = 9, kSourceAt = 12, kDestinationAt = 16;
  constexpr uint16_t kMoreOrOffset = 0x3fff;
  if (packet.size() < kIpv4Header || packet[0] >> 4 != 4) return {};
  const size_t header = size_t{packet[0] & 15U} * 4, length = u16(packet, 2);
  if (header < kIpv4Header || length < header || length > packet.size()) return {};
  if (packet[kProtocolAt] != kProtocolTcp || (u16(packet, kFragmentAt) & kMoreOrOffset) != 0) return {};
  return heard_in_tcp(packet.subspan(header, length - header), v4_at(packet, kSourceAt), v4_at(packet, kDestinationAt));
}

Heard heard_in_ipv6(Bytes packet, const MacAddress& station) {
  constexpr size_t kLengthAt = 4, kNextAt = 6, kHopsAt = 7, kSourceAt = 8, kDestinationAt = 24;
  if (packet.size() < kIpv6Header || packet[0] >> 4 != 6) return {};
  const size_t length = u16(packet, kLengthAt);
  if (length > packet.size() - kIpv6Header) return {};
  const Bytes message = packet.subspan(kIpv6Header, length);
  const IpAddress from = v6_at(packet, kSourceAt), to = v6_at(packet, kDestinationAt);
  if (from.is_v4() || to.is_v4()) return {};  // on no wire
  if (packet[kNextAt] == kProtocolTcp) return heard_in_tcp(message, from, to);
  if (packet[kNextAt] == control::kProtocolIcmpv6 && packet[kHopsAt] == control::kNeighborHops)
    return heard_in_advertisement(message, station);
  return {};
}

}  // namespace

LinkMessage address_probe(const MacAddress& mac, const IpAddress& source, const IpAddress& address) {
  if (address.is_v4())
    return {kEverybody, control::kEthertypeArp, bytes_of(ArpMessage{.sender_mac = mac, .target = address})};
  // RFC 4291, 2.7.1: the group of all whose address ends likewise; RFC 2464, 7: its MAC address.
  IpAddress group{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
  std::ranges::copy(std::span(address.bytes).last(3), group.bytes.begin() + 13);
  MacAddress to{{0x33, 0x33}};
  std::ranges::copy(std::span(group.bytes).last(4), to.bytes.begin() + 2);
  return {to, control::kEthertypeIpv6,
          bytes_of(NeighborMessage{.source = source, .destination = group, .target = address, .mac = mac})};
}

control::PacketBytes bytes_of(const Segment& segment, uint8_t hops) {
  control::PacketBytes message;
  control::put16(message, segment.from.port);
  control::put16(message, segment.to.port);
  control::put32(message, segment.sequence);
  control::put32(message, segment.acknowledgement);
  control::put(message, {kTcpHeader / 4 << 4, segment.flags});
  control::put16(message, kWindow);
  control::put32(message, 0);  // checksum, and nothing urgent
  return control::ip_packet(segment.from.address, segment.to.address, kProtocolTcp, hops, std::move(message),
                            kTcpChecksumAt);
}

Heard heard_in(uint16_t ethertype, Bytes packet, const MacAddress& station) {
  switch (ethertype) {
    case control::kEthertypeArp:
      return heard_in_arp(packet);
    case control::kEthertypeIpv4:
      return heard_in_ipv4(packet);
    case control::kEthertypeIpv6:
      return heard_in_ipv6(packet, station);
    default:
      return {};
  }
}

}  // namespace sluice::ctl
