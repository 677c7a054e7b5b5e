// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/tunnel_frame.h"

#include <algorithm>

namespace sluice::testing {
namespace {

uint32_t get16(const Bytes& in, size_t at) {
  return (uint32_t{in.at(at)} << 8) | in.at(at + 1);
}

Bytes from(const Bytes& in, size_t at) {
  return {in.begin() + static_cast<long>(at), in.end()};
}

/// RFC 1071, byte pair by byte pair.
uint32_t ones_complement_sum(const Bytes& data, uint32_t sum = 0) {
  for (size_t i = 0; i < data.size(); i += 2) {
    sum += (uint32_t{data[i]} << 8) | (i + 1 < data.size() ? data[i + 1] : 0U);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return sum;
}

Address address_at(const Bytes& in, size_t at, size_t bytes) {
  Address out;
  if (bytes == 4) out.bytes[10] = out.bytes[11] = 0xff;
  std::copy_n(in.begin() + static_cast<long>(at), bytes, out.bytes.begin() + static_cast<long>(16 - bytes));
  return out;
}

/// The addresses of an IP header as the pseudo header has them.
Bytes addresses_of(const Bytes& ip, bool v6) {
  const long at = v6 ? 8 : 12;
  return {ip.begin() + at, ip.begin() + at + (v6 ? 32 : 8)};
}

Bytes in_ethernet(const Bytes& packet) {
  Bytes out(12, 0);
  const bool v6 = packet.at(0) >> 4 == 6;
  out.push_back(v6 ? 0x86 : 0x08);
  out.push_back(v6 ? 0xdd : 0x00);
  out.insert(out.end(), packet.begin(), packet.end());
  return out;
}

}  // namespace

std::optional<Unwrapped> unwrap(const Bytes& frame) {
  Unwrapped out;
  std::copy_n(frame.begin(), 6, out.destination_mac.bytes.begin());
  const bool tagged = get16(frame, 12) == 0x8100;
  if (tagged) out.vlan = get16(frame, 14) & 0x0fff;
  const uint32_t type = get16(frame, tagged ? 16 : 12);
  const Bytes ip = from(frame, tagged ? 18 : 14);
  const bool v6 = type == 0x86dd;
  if (!v6 && (type != 0x0800 || ip.at(0) != 0x45)) return std::nullopt;
  if (v6 && ip.at(0) >> 4 != 6) return std::nullopt;
  const size_t header = v6 ? 40 : 20;
  if (v6 ? header + get16(ip, 4) != ip.size() : get16(ip, 2) != ip.size()) return std::nullopt;
  if (!v6 && ones_complement_sum(Bytes(ip.begin(), ip.begin() + 20)) != 0xffff) return std::nullopt;
  out.source = address_at(ip, v6 ? 8 : 12, v6 ? 16 : 4);
  out.destination = address_at(ip, v6 ? 24 : 16, v6 ? 16 : 4);
  out.protocol = ip.at(v6 ? 6 : 9);
  out.ttl = ip.at(v6 ? 7 : 8);
  out.traffic_class = v6 ? static_cast<uint8_t>(get16(ip, 0) >> 4) : ip.at(1);
  out.may_fragment = !v6 && get16(ip, 6) != 0x4000;
  Bytes rest = from(ip, header);
  if (out.protocol == 17) {
    if (get16(rest, 4) != rest.size() || get16(rest, 6) == 0) return std::nullopt;
    const auto length = static_cast<uint32_t>(rest.size());
    if (ones_complement_sum(rest, ones_complement_sum(addresses_of(ip, v6), 17 + length)) != 0xffff)
      return std::nullopt;
    out.source_port = static_cast<uint16_t>(get16(rest, 0));
    out.destination_port = static_cast<uint16_t>(get16(rest, 2));
    rest = from(rest, 8);
  } else if (out.protocol != (rest.at(0) >> 4 == 6 ? 41 : 4)) {
    return std::nullopt;
  }
  out.inner = in_ethernet(rest);
  return out;
}

Bytes with_traffic_class(Bytes frame, uint8_t traffic_class) {
  if (get16(frame, 12) == 0x86dd) {
    frame.at(14) = static_cast<uint8_t>(0x60 | traffic_class >> 4);
    frame.at(15) = static_cast<uint8_t>((frame.at(15) & 0x0f) | traffic_class << 4);
    return frame;
  }
  frame.at(15) = traffic_class;
  frame.at(24) = frame.at(25) = 0;
  const uint32_t sum = ~ones_complement_sum(Bytes(frame.begin() + 14, frame.begin() + 34)) & 0xffff;
  frame.at(24) = static_cast<uint8_t>(sum >> 8);
  frame.at(25) = static_cast<uint8_t>(sum);
  return frame;
}

}  // namespace sluice::testing
