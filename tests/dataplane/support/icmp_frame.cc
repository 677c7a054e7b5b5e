// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/icmp_frame.h"

#include <algorithm>

namespace sluice::testing {
namespace {

constexpr uint8_t kIcmp = 1, kIcmp6 = 58;

void put16(Bytes& out, uint32_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}
void put32(Bytes& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void append(Bytes& out, const Bytes& more) {
  out.insert(out.end(), more.begin(), more.end());
}
uint32_t get16(const Bytes& in, size_t at) {
  return (uint32_t{in.at(at)} << 8) | in.at(at + 1);
}
void set16(Bytes& out, size_t at, uint32_t value) {
  out.at(at) = static_cast<uint8_t>(value >> 8);
  out.at(at + 1) = static_cast<uint8_t>(value);
}
Bytes part(const Bytes& in, size_t from, size_t to) {
  return {in.begin() + static_cast<long>(from), in.begin() + static_cast<long>(to)};
}

/// RFC 1071, byte pair by byte pair.
uint32_t checksum(const Bytes& data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i += 2) {
    sum += (uint32_t{data[i]} << 8) | (i + 1 < data.size() ? data[i + 1] : 0U);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return ~sum & 0xffff;
}

Bytes wire(const Address& address) {
  return {address.bytes.begin() + (address.is_v4() ? 12 : 0), address.bytes.end()};
}

uint32_t icmp_checksum(const Address& source, const Address& destination, const Bytes& message) {
  if (source.is_v4()) return checksum(message);
  Bytes all = wire(source);
  append(all, wire(destination));
  put32(all, static_cast<uint32_t>(message.size()));
  put32(all, kIcmp6);
  append(all, message);
  return checksum(all);
}

}  // namespace

Bytes IcmpFrame::bytes() const {
  const bool v4 = source.is_v4();
  Bytes message{type, code, 0, 0};
  put32(message, rest);
  append(message, quoted);
  set16(message, 2, icmp_checksum(source, destination, message));

  Bytes ip;
  if (v4) {
    ip = {0x45, 0};
    put16(ip, static_cast<uint32_t>(20 + message.size()));
    put32(ip, 0x56780000);
    append(ip, {ttl, kIcmp, 0, 0});
  } else {
    put32(ip, 0x60000000);
    put16(ip, static_cast<uint32_t>(message.size()));
    append(ip, {kIcmp6, ttl});
  }
  append(ip, wire(source));
  append(ip, wire(destination));
  if (v4) set16(ip, 10, checksum(ip));

  Bytes out(destination_mac.bytes.begin(), destination_mac.bytes.end());
  out.insert(out.end(), source_mac.bytes.begin(), source_mac.bytes.end());
  if (vlan != 0) {
    put16(out, 0x8100);
    put16(out, vlan);
  }
  put16(out, v4 ? 0x0800 : 0x86dd);
  append(out, ip);
  append(out, message);
  return out;
}

std::optional<IcmpFrame> read_icmp(const Bytes& frame) {
  if (frame.size() < 14 + 20 + 8) return std::nullopt;
  IcmpFrame out;
  std::copy_n(frame.begin(), 6, out.destination_mac.bytes.begin());
  std::copy_n(frame.begin() + 6, 6, out.source_mac.bytes.begin());
  size_t l3 = 14;
  if (get16(frame, 12) == 0x8100) {
    out.vlan = static_cast<uint16_t>(get16(frame, 14) & 0x0fff);
    l3 = 18;
  }
  const uint32_t type = get16(frame, l3 - 2);
  size_t l4 = 0;
  size_t end = 0;
  if (type == 0x0800) {
    l4 = l3 + (frame.at(l3) & 0x0fU) * 4;
    end = l3 + get16(frame, l3 + 2);
    if (frame.at(l3 + 9) != kIcmp || checksum(part(frame, l3, l4)) != 0) return std::nullopt;
    out.ttl = frame.at(l3 + 8);
    out.source = Address::v4(Be32::of((get16(frame, l3 + 12) << 16) | get16(frame, l3 + 14)));
    out.destination = Address::v4(Be32::of((get16(frame, l3 + 16) << 16) | get16(frame, l3 + 18)));
  } else if (type == 0x86dd) {
    l4 = l3 + 40;
    end = l4 + get16(frame, l3 + 4);
    if (frame.at(l3 + 6) != kIcmp6) return std::nullopt;
    out.ttl = frame.at(l3 + 7);
    std::copy_n(frame.begin() + static_cast<long>(l3) + 8, 16, out.source.bytes.begin());
    std::copy_n(frame.begin() + static_cast<long>(l3) + 24, 16, out.destination.bytes.begin());
  } else {
    return std::nullopt;
  }
  if (end > frame.size() || l4 + 8 > end) return std::nullopt;
  const Bytes message = part(frame, l4, end);
  if (icmp_checksum(out.source, out.destination, message) != 0) return std::nullopt;
  out.type = message[0];
  out.code = message[1];
  out.rest = (get16(message, 4) << 16) | get16(message, 6);
  out.quoted = part(message, 8, message.size());
  return out;
}

Bytes ip_packet(const Bytes& frame) {
  return part(frame, get16(frame, 12) == 0x8100 ? 18 : 14, frame.size());
}

Bytes ip_packet(const Bytes& frame, size_t bytes) {
  Bytes out = ip_packet(frame);
  out.resize(std::min(bytes, out.size()));
  return out;
}

}  // namespace sluice::testing
