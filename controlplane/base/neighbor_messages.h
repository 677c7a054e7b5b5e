// SPDX-License-Identifier: Apache-2.0
//
// What the stations of a link say to each other about addresses, without Ethernet's header: ARP (RFC 826) and neighbour
// discovery (RFC 4861). Pure.
#pragma once

#include <cstdint>

#include "config/model.h"
#include "controlplane/base/ip_packet.h"
#include "dataplane/contract/address.h"

namespace sluice::control {

inline constexpr uint16_t kEthertypeArp = 0x0806, kEthertypeIpv4 = 0x0800, kEthertypeIpv6 = 0x86dd;
inline constexpr uint16_t kArpRequest = 1, kArpReply = 2;
inline constexpr uint8_t kProtocolIcmpv6 = 58, kNeighborSolicitation = 135, kNeighborAdvertisement = 136;
inline constexpr uint8_t kNeighborHops = 255;  // of all messages: they have passed no router

struct ArpMessage {
  uint16_t operation = kArpRequest;
  MacAddress sender_mac;
  config::IpAddress sender;  // value-initialised: none
  MacAddress target_mac;
  config::IpAddress target;
};
PacketBytes bytes_of(const ArpMessage& message);

struct NeighborMessage {
  uint8_t type = kNeighborSolicitation;
  uint8_t flags = 0;
  config::IpAddress source;
  config::IpAddress destination;
  config::IpAddress target;
  MacAddress mac;  // the source's in a solicitation, the target's in an advertisement
};
/// The IPv6 packet, with the link-layer address as its option.
PacketBytes bytes_of(const NeighborMessage& message);

}  // namespace sluice::control
