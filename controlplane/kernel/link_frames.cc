// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/link_frames.h"

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>

namespace sluice::control {

namespace {

using Frame = std::vector<uint8_t>;

constexpr MacAddress kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr MacAddress kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};
constexpr std::array<uint8_t, 16> kAllNodes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr uint16_t kArp = 0x0806, kIpv6 = 0x86dd;
constexpr uint16_t kRequest = 1, kReply = 2;
constexpr uint8_t kIcmpv6 = 58, kNeighborAdvertisement = 136, kOverride = 0x20, kTargetLinkLayerAddress = 2;

void put(Frame& frame, std::span<const uint8_t> bytes) {
  frame.insert(frame.end(), bytes.begin(), bytes.end());
}

void put(Frame& frame, std::initializer_list<uint8_t> bytes) {
  frame.insert(frame.end(), bytes.begin(), bytes.end());
}

void put16(Frame& frame, uint16_t value) {
  put(frame, {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)});
}

Frame ethernet(const MacAddress& to, const MacAddress& from, uint16_t type) {
  Frame out;
  put(out, to.bytes);
  put(out, from.bytes);
  put16(out, type);
  return out;
}

Frame arp(uint16_t operation, const MacAddress& mac, const config::IpAddress& address) {
  const std::span<const uint8_t> v4 = std::span(address.bytes).subspan(12);
  Frame out = ethernet(kEverybody, mac, kArp);
  put16(out, 1);       // Ethernet
  put16(out, 0x0800);  // IPv4
  put(out, {6, 4});
  put16(out, operation);
  put(out, mac.bytes);
  put(out, v4);
  put(out, operation == kReply ? mac.bytes : MacAddress{}.bytes);
  put(out, v4);
  return out;
}

/// RFC 1071, over 16-bit words in network byte order.
uint16_t checksum(std::span<const uint8_t> bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += uint32_t{bytes[i]} << 8 | bytes[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Frame neighbor_advertisement(const MacAddress& mac, const config::IpAddress& address) {
  Frame message{kNeighborAdvertisement, 0, 0, 0, kOverride, 0, 0, 0};
  put(message, address.bytes);
  put(message, {kTargetLinkLayerAddress, 1});
  put(message, mac.bytes);
  Frame summed;  // RFC 8200, 8.1: with the addresses, the length and the protocol before it
  put(summed, address.bytes);
  put(summed, kAllNodes);
  put(summed, {0, 0, 0, static_cast<uint8_t>(message.size()), 0, 0, 0, kIcmpv6});
  put(summed, message);
  const uint16_t sum = checksum(summed);
  message[2] = static_cast<uint8_t>(sum >> 8);
  message[3] = static_cast<uint8_t>(sum);
  Frame out = ethernet(kAllNodesMac, mac, kIpv6);
  put(out, {0x60, 0, 0, 0, 0, static_cast<uint8_t>(message.size()), kIcmpv6, 255});
  put(out, address.bytes);
  put(out, kAllNodes);
  put(out, message);
  return out;
}

}  // namespace

std::vector<std::vector<uint8_t>> address_announcements(const MacAddress& mac, const config::IpAddress& address) {
  if (address.is_v4()) return {arp(kRequest, mac, address), arp(kReply, mac, address)};
  return {neighbor_advertisement(mac, address)};
}

}  // namespace sluice::control
