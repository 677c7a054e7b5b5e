// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/neighbor_messages.h"

#include <utility>

namespace sluice::control {

namespace {

constexpr uint8_t kSourceLinkLayerAddress = 1, kTargetLinkLayerAddress = 2;
constexpr size_t kChecksumAt = 2;

std::span<const uint8_t> v4_part(const config::IpAddress& address) {
  return std::span(address.bytes).subspan(12);
}

}  // namespace

PacketBytes bytes_of(const ArpMessage& message) {
  PacketBytes out;
  put16(out, 1);  // Ethernet
  put16(out, kEthertypeIpv4);
  put(out, {6, 4});
  put16(out, message.operation);
  put(out, message.sender_mac.bytes);
  put(out, v4_part(message.sender));
  put(out, message.target_mac.bytes);
  put(out, v4_part(message.target));
  return out;
}

PacketBytes bytes_of(const NeighborMessage& message) {
  PacketBytes out{message.type, 0, 0, 0, message.flags, 0, 0, 0};
  put(out, message.target.bytes);
  const bool asks = message.type == kNeighborSolicitation;
  put(out, {asks ? kSourceLinkLayerAddress : kTargetLinkLayerAddress, 1});
  put(out, message.mac.bytes);
  return ip_packet(message.source, message.destination, kProtocolIcmpv6, kNeighborHops, std::move(out), kChecksumAt);
}

}  // namespace sluice::control
