// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/ip_packet.h"

namespace sluice::control {

namespace {

constexpr size_t kIpv4Header = 20, kIpv4ChecksumAt = 10;
constexpr uint16_t kDoNotFragment = 0x4000;

void put_checksum(PacketBytes& packet, size_t at, uint16_t checksum) {
  packet[at] = static_cast<uint8_t>(checksum >> 8);
  packet[at + 1] = static_cast<uint8_t>(checksum);
}

PacketBytes ipv4_header(const config::IpAddress& source, const config::IpAddress& destination, uint8_t protocol,
                        uint8_t hops, size_t length) {
  PacketBytes out{0x45, 0};
  put16(out, static_cast<uint16_t>(kIpv4Header + length));
  put16(out, 0);  // no fragment: any number will do (RFC 6864)
  put16(out, kDoNotFragment);
  put(out, {hops, protocol, 0, 0});
  put(out, bytes_of(source));
  put(out, bytes_of(destination));
  put_checksum(out, kIpv4ChecksumAt, internet_checksum(out));
  return out;
}

PacketBytes ipv6_header(const config::IpAddress& source, const config::IpAddress& destination, uint8_t protocol,
                        uint8_t hops, size_t length) {
  PacketBytes out{0x60, 0, 0, 0};
  put16(out, static_cast<uint16_t>(length));
  put(out, {protocol, hops});
  put(out, bytes_of(source));
  put(out, bytes_of(destination));
  return out;
}

}  // namespace

void put(PacketBytes& packet, std::span<const uint8_t> bytes) {
  packet.insert(packet.end(), bytes.begin(), bytes.end());
}

void put(PacketBytes& packet, std::initializer_list<uint8_t> bytes) {
  packet.insert(packet.end(), bytes.begin(), bytes.end());
}

void put16(PacketBytes& packet, uint16_t value) {
  put(packet, {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)});
}

void put32(PacketBytes& packet, uint32_t value) {
  put16(packet, static_cast<uint16_t>(value >> 16));
  put16(packet, static_cast<uint16_t>(value));
}

std::span<const uint8_t> bytes_of(const config::IpAddress& address) {
  return std::span(address.bytes).subspan(address.is_v4() ? 12 : 0);
}

uint16_t internet_checksum(std::span<const uint8_t> bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i++) sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : uint32_t{bytes[i]};
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

PacketBytes ip_packet(const config::IpAddress& source, const config::IpAddress& destination, uint8_t protocol,
                      uint8_t hops, PacketBytes message, size_t checksum_at) {
  PacketBytes summed;
  put(summed, bytes_of(source));
  put(summed, bytes_of(destination));
  put32(summed, static_cast<uint32_t>(message.size()));  // leading zeros do not matter to the sum
  put32(summed, protocol);
  put(summed, message);
  put_checksum(message, checksum_at, internet_checksum(summed));
  const auto header = source.is_v4() ? ipv4_header : ipv6_header;
  PacketBytes out = header(source, destination, protocol, hops, message.size());
  put(out, message);
  return out;
}

}  // namespace sluice::control
