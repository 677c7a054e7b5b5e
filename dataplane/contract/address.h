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

  static constexpr Address v4(Be32 address) {
    Address out;
    out.bytes[10] = 0xff;
    out.bytes[11] = 0xff;
    for (int i = 0; i < 4; i++) out.bytes[12 + i] = static_cast<uint8_t>(address.raw >> (8 * i));
    return out;
  }

  constexpr bool is_v4() const {
    for (int i = 0; i < 10; i++)
      if (bytes[i] != 0) return false;
    return bytes[10] == 0xff && bytes[11] == 0xff;
  }

  /// The IPv4 part; meaningful only if `is_v4()`.
  Be32 v4_part() const {
    Be32 out;
    std::memcpy(&out.raw, &bytes[12], sizeof out.raw);
    return out;
  }

  friend constexpr bool operator==(const Address&, const Address&) = default;
  friend constexpr auto operator<=>(const Address&, const Address&) = default;
};

/// A TCP endpoint. 18 bytes without padding, so that it may be compared and hashed as bytes.
struct Endpoint {
  Address address;
  Be16 port;

  friend constexpr bool operator==(const Endpoint&, const Endpoint&) = default;
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
