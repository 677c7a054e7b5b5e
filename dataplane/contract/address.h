// SPDX-License-Identifier: Apache-2.0
//
// Addresses and endpoints as both processes exchange them: plain bytes in network order, one form
// for both families. IPv4 is carried v4-mapped (RFC 4291 section 2.5.5.2), so that keys compare
// and hash the same way whatever the family.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sluice {

static_assert(std::endian::native == std::endian::little, "byte-order types below assume little endian");

/// A 16-bit integer in network byte order. No implicit conversion: `Be16::of(25)`, `port.host()`.
struct Be16 {
  uint16_t raw = 0;

  static constexpr Be16 of(uint16_t host) { return Be16{__builtin_bswap16(host)}; }
  constexpr uint16_t host() const { return __builtin_bswap16(raw); }
  friend constexpr bool operator==(Be16, Be16) = default;
};

/// A 32-bit integer in network byte order.
struct Be32 {
  uint32_t raw = 0;

  static constexpr Be32 of(uint32_t host) { return Be32{__builtin_bswap32(host)}; }
  constexpr uint32_t host() const { return __builtin_bswap32(raw); }
  friend constexpr bool operator==(Be32, Be32) = default;
};

/// An IPv6 address, or an IPv4 address in v4-mapped form. Value-initialised it is `::`.
struct Address {
  std::array<uint8_t, 16> bytes{};

  static Address v4(Be32 address) {
    const uint64_t words[2] = {0, 0xffff0000 | static_cast<uint64_t>(address.raw) << 32};
    Address out;
    std::memcpy(out.bytes.data(), words, sizeof words);
    return out;
  }

  bool is_v4() const {
    uint64_t high;
    uint32_t middle;
    std::memcpy(&high, bytes.data(), sizeof high);
    std::memcpy(&middle, &bytes[8], sizeof middle);
    return high == 0 && middle == 0xffff0000;
  }

  /// The IPv4 part; meaningful only if `is_v4()`.
  Be32 v4_part() const {
    Be32 out;
    std::memcpy(&out.raw, &bytes[12], sizeof out.raw);
    return out;
  }

  friend bool operator==(const Address& a, const Address& b) { return difference(a, b) == 0; }
  friend constexpr auto operator<=>(const Address& a, const Address& b) { return a.bytes <=> b.bytes; }

  /// 0 if equal: two 64-bit words without a branch or a call, as this is on every packet's way.
  static uint64_t difference(const Address& a, const Address& b) {
    uint64_t left[2], right[2];
    std::memcpy(left, a.bytes.data(), sizeof left);
    std::memcpy(right, b.bytes.data(), sizeof right);
    return (left[0] ^ right[0]) | (left[1] ^ right[1]);
  }
};

/// No router passes it on (RFC 3927, RFC 4291 section 2.5.6).
inline bool is_link_local(const Address& address) {
  if (address.is_v4()) return address.bytes[12] == 169 && address.bytes[13] == 254;
  return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

/// A TCP endpoint. 18 bytes without padding, so that it may be compared and hashed as bytes.
struct Endpoint {
  Address address;
  Be16 port;

  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return (Address::difference(a.address, b.address) | static_cast<uint64_t>(a.port.raw ^ b.port.raw)) == 0;
  }
};

/// Folded sums of an endpoint as they enter checksums. Each in half a 64-bit word, so that two can be worked on at
/// once.
struct alignas(8) EndpointSums {
  uint32_t endpoint;  // address and port: TCP
  uint32_t address;   // the address alone: IPv4
};

/// An Ethernet address.
struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  friend constexpr bool operator==(const MacAddress&, const MacAddress&) = default;
};

static_assert(sizeof(Be16) == 2 && sizeof(Be32) == 4);
static_assert(sizeof(Address) == 16 && alignof(Address) == 1);
static_assert(sizeof(Endpoint) == 18 && alignof(Endpoint) == 2);
static_assert(sizeof(MacAddress) == 6);
static_assert(std::is_trivially_copyable_v<Endpoint> && std::is_standard_layout_v<Endpoint>);
static_assert(std::has_unique_object_representations_v<Endpoint>);

}  // namespace sluice
