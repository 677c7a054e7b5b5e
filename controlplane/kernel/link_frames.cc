// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/link_frames.h"

#include "controlplane/base/neighbor_messages.h"

namespace sluice::control {

namespace {

constexpr MacAddress kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr MacAddress kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};
constexpr config::IpAddress kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
constexpr uint8_t kOverride = 0x20;

PacketBytes frame(const MacAddress& to, const MacAddress& from, uint16_t type, const PacketBytes& message) {
  PacketBytes out;
  put(out, to.bytes);
  put(out, from.bytes);
  put16(out, type);
  put(out, message);
  return out;
}

PacketBytes arp(uint16_t operation, const MacAddress& mac, const config::IpAddress& address) {
  return frame(kEverybody, mac, kEthertypeArp,
               bytes_of(ArpMessage{.operation = operation,
                                   .sender_mac = mac,
                                   .sender = address,
                                   .target_mac = operation == kArpReply ? mac : MacAddress{},
                                   .target = address}));
}

PacketBytes neighbor_advertisement(const MacAddress& mac, const config::IpAddress& address) {
  return frame(kAllNodesMac, mac, kEthertypeIpv6,
               bytes_of(NeighborMessage{.type = kNeighborAdvertisement,
                                        .flags = kOverride,
                                        .source = address,
                                        .destination = kAllNodes,
                                        .target = address,
                                        .mac = mac}));
}

}  // namespace

std::vector<std::vector<uint8_t>> address_announcements(const MacAddress& mac, const config::IpAddress& address) {
  if (address.is_v4()) return {arp(kArpRequest, mac, address), arp(kArpReply, mac, address)};
  return {neighbor_advertisement(mac, address)};
}

}  // namespace sluice::control
