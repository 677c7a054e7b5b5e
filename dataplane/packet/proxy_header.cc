// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/proxy_header.h"

#include <arpa/inet.h>

#include <cstdio>
#include <cstring>

#include "dataplane/packet/renumber.h"
#include "dataplane/packet/sequence.h"
#include "dataplane/packet/tcp_options.h"

namespace sluice {
namespace {

constexpr uint8_t kSignature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr uint8_t kVersion2Proxy = 0x21;
constexpr uint8_t kTcpOverIpv4 = 0x11;
constexpr uint8_t kTcpOverIpv6 = 0x21;

size_t write_v1(const Endpoint& client, const Endpoint& vip, uint8_t* out) {
  const bool v4 = client.address.is_v4();
  const auto* from = v4 ? &client.address.bytes[12] : client.address.bytes.data();
  const auto* to = v4 ? &vip.address.bytes[12] : vip.address.bytes.data();
  char from_text[INET6_ADDRSTRLEN];
  char to_text[INET6_ADDRSTRLEN];
  inet_ntop(v4 ? AF_INET : AF_INET6, from, from_text, sizeof from_text);
  inet_ntop(v4 ? AF_INET : AF_INET6, to, to_text, sizeof to_text);
  char text[kMaxProxyHeader + 1];
  const int bytes = snprintf(text, sizeof text, "PROXY %s %s %s %u %u\r\n", v4 ? "TCP4" : "TCP6", from_text, to_text,
                             client.port.host(), vip.port.host());
  std::memcpy(out, text, static_cast<size_t>(bytes));
  return static_cast<size_t>(bytes);
}

size_t write_v2(const Endpoint& client, const Endpoint& vip, uint8_t* out) {
  const bool v4 = client.address.is_v4();
  const size_t address_bytes = v4 ? 4 : 16;
  const size_t skip = 16 - address_bytes;
  uint8_t* next = out;
  const auto append = [&next](const void* from, size_t bytes) {
    std::memcpy(next, from, bytes);
    next += bytes;
  };
  append(kSignature, sizeof kSignature);
  *next++ = kVersion2Proxy;
  *next++ = v4 ? kTcpOverIpv4 : kTcpOverIpv6;
  const Be16 length = Be16::of(static_cast<uint16_t>(2 * address_bytes + 4));
  append(&length, sizeof length);
  append(client.address.bytes.data() + skip, address_bytes);
  append(vip.address.bytes.data() + skip, address_bytes);
  append(&client.port, 2);
  append(&vip.port, 2);
  return static_cast<size_t>(next - out);
}

}  // namespace

size_t write_proxy_header(channel::ProxyHeader kind, const Endpoint& client, const Endpoint& vip,
                          uint8_t* out) noexcept {
  if (kind == channel::ProxyHeader::kV1) return write_v1(client, vip, out);
  if (kind == channel::ProxyHeader::kV2) return write_v2(client, vip, out);
  return 0;
}

void shift_towards_client(uint8_t* tcp_header, uint32_t header_bytes, uint32_t bytes, bool clamp,
                          uint32_t first) noexcept {
  const auto shifted = [&](const uint8_t* field) {
    const uint32_t back = Be32{load<uint32_t>(field)}.host() - bytes;
    return clamp && sequence_before(back, first) ? first : back;
  };
  if ((tcp_header[tcp::kFlags] & kTcpAck) != 0) {
    replace_word(tcp_header, tcp_header + tcp::kAck, shifted(tcp_header + tcp::kAck));
  }
  for_each_option(tcp_header, header_bytes, [&](uint32_t at, uint32_t length) {
    if (tcp_header[at] != tcp_option::kSack) return;
    for (uint32_t edge = at + 2; edge + 4 <= at + length; edge += 4)
      replace_word(tcp_header, tcp_header + edge, shifted(tcp_header + edge));
  });
}

}  // namespace sluice
