// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/frame.h"

#include <arpa/inet.h>

#include <algorithm>

#include <cstdlib>
#include <cstring>

namespace sluice::testing {
namespace {

void put16(Bytes& out, uint32_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void put32(Bytes& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

uint16_t get16(const Bytes& in, size_t at) {
  return static_cast<uint16_t>((in.at(at) << 8) | in.at(at + 1));
}
uint32_t get32(const Bytes& in, size_t at) {
  return (uint32_t{get16(in, at)} << 16) | get16(in, at + 2);
}

/// RFC 1071, byte pair by byte pair, most significant first.
uint16_t checksum(const Bytes& data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<uint32_t>(data[i] << 8) | (i + 1 < data.size() ? data[i + 1] : 0U);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

Bytes wire_address(const Address& address) {
  return address.is_v4() ? Bytes(address.bytes.begin() + 12, address.bytes.end())
                         : Bytes(address.bytes.begin(), address.bytes.end());
}

Bytes with_pseudo_header(const Address& source, const Address& destination, const Bytes& segment) {
  Bytes out = wire_address(source);
  const Bytes to = wire_address(destination);
  out.insert(out.end(), to.begin(), to.end());
  put32(out, static_cast<uint32_t>(segment.size()));
  put32(out, 6);
  out.insert(out.end(), segment.begin(), segment.end());
  return out;
}

void pad(Bytes& options) {
  while (options.size() % 4 != 0) options.push_back(0);
}

}  // namespace

Address address(const std::string& text) {
  Address out;
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return Address::v4(Be32{v4.s_addr});
  if (inet_pton(AF_INET6, text.c_str(), out.bytes.data()) != 1) abort();
  return out;
}

Endpoint endpoint(const std::string& text, uint16_t port) {
  return {address(text), Be16::of(port)};
}

MacAddress mac(uint8_t last) {
  return {{0x02, 0, 0, 0, 0, last}};
}

Bytes Frame::bytes() const {
  Bytes options = tcp_options_;
  pad(options);
  Bytes segment;
  put16(segment, source_.port.host());
  put16(segment, destination_.port.host());
  put32(segment, seq_);
  put32(segment, ack_);
  segment.push_back(static_cast<uint8_t>((5 + options.size() / 4) << 4));
  segment.push_back(flags_);
  put16(segment, window_);
  put32(segment, 0);  // checksum and urgent pointer
  segment.insert(segment.end(), options.begin(), options.end());
  segment.insert(segment.end(), payload_.begin(), payload_.end());
  const uint16_t tcp_sum = checksum(with_pseudo_header(source_.address, destination_.address, segment));
  segment[16] = static_cast<uint8_t>(tcp_sum >> 8);
  segment[17] = static_cast<uint8_t>(tcp_sum);

  Bytes out(destination_mac_.bytes.begin(), destination_mac_.bytes.end());
  out.insert(out.end(), source_mac_.bytes.begin(), source_mac_.bytes.end());
  if (vlan_ != 0) {
    put16(out, 0x8100);
    put16(out, vlan_);
  }
  Bytes ip;
  if (source_.address.is_v4()) {
    Bytes ip_options = ip_options_;
    pad(ip_options);
    put16(out, 0x0800);
    ip.push_back(static_cast<uint8_t>(0x45 + ip_options.size() / 4));
    ip.push_back(0);
    put16(ip, static_cast<uint32_t>(20 + ip_options.size() + segment.size()));
    put16(ip, 0x1234);
    put16(ip, fragment_);
    ip.push_back(ttl_);
    ip.push_back(6);
    put16(ip, 0);
    for (const Address& a : {source_.address, destination_.address}) {
      const Bytes wire = wire_address(a);
      ip.insert(ip.end(), wire.begin(), wire.end());
    }
    ip.insert(ip.end(), ip_options.begin(), ip_options.end());
    const uint16_t ip_sum = checksum(ip);
    ip[10] = static_cast<uint8_t>(ip_sum >> 8);
    ip[11] = static_cast<uint8_t>(ip_sum);
  } else {
    put16(out, 0x86dd);
    put32(ip, 0x60000000);
    put16(ip, static_cast<uint32_t>(segment.size()));
    ip.push_back(6);
    ip.push_back(ttl_);
    for (const Address& a : {source_.address, destination_.address}) {
      ip.insert(ip.end(), a.bytes.begin(), a.bytes.end());
    }
  }
  out.insert(out.end(), ip.begin(), ip.end());
  out.insert(out.end(), segment.begin(), segment.end());
  return out;
}

std::optional<ReadFrame> read(const Bytes& frame) {
  if (frame.size() < 54) return std::nullopt;
  ReadFrame out;
  std::copy_n(frame.begin(), 6, out.destination_mac.bytes.begin());
  std::copy_n(frame.begin() + 6, 6, out.source_mac.bytes.begin());
  size_t l3 = 14;
  uint16_t type = get16(frame, 12);
  if (type == 0x8100) {
    out.vlan = get16(frame, 14) & 0x0fff;
    type = get16(frame, 16);
    l3 = 18;
  }
  size_t l4 = 0;
  size_t end = 0;
  if (type == 0x0800) {
    const size_t header = (frame.at(l3) & 0x0fU) * 4;
    l4 = l3 + header;
    end = l3 + get16(frame, l3 + 2);
    if (end > frame.size() || frame.at(l3 + 9) != 6) return std::nullopt;
    if (checksum(Bytes(frame.begin() + static_cast<long>(l3), frame.begin() + static_cast<long>(l4))) != 0) {
      return std::nullopt;
    }
    out.ttl = frame.at(l3 + 8);
    out.source.address = Address::v4(Be32::of(get32(frame, l3 + 12)));
    out.destination.address = Address::v4(Be32::of(get32(frame, l3 + 16)));
  } else if (type == 0x86dd) {
    l4 = l3 + 40;
    end = l4 + get16(frame, l3 + 4);
    if (end > frame.size() || frame.at(l3 + 6) != 6) return std::nullopt;
    out.ttl = frame.at(l3 + 7);
    std::copy_n(frame.begin() + static_cast<long>(l3) + 8, 16, out.source.address.bytes.begin());
    std::copy_n(frame.begin() + static_cast<long>(l3) + 24, 16, out.destination.address.bytes.begin());
  } else {
    return std::nullopt;
  }
  const Bytes segment(frame.begin() + static_cast<long>(l4), frame.begin() + static_cast<long>(end));
  if (segment.size() < 20) return std::nullopt;
  if (checksum(with_pseudo_header(out.source.address, out.destination.address, segment)) != 0) return std::nullopt;
  out.source.port = Be16::of(get16(segment, 0));
  out.destination.port = Be16::of(get16(segment, 2));
  out.seq = get32(segment, 4);
  out.ack = get32(segment, 8);
  out.flags = segment[13];
  out.window = get16(segment, 14);
  const long header = (segment[12] >> 4) * 4;
  out.tcp_options = Bytes(segment.begin() + 20, segment.begin() + header);
  out.payload = Bytes(segment.begin() + header, segment.end());
  return out;
}

}  // namespace sluice::testing
