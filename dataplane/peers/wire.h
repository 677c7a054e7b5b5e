// SPDX-License-Identifier: Apache-2.0
//
// Pieces of what nodes tell each other, as they lie in a datagram: in network order, IPv4 addresses short. Whoever
// takes one has seen that it is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/contract/address.h"

namespace sluice {

inline constexpr size_t kV4At = 12;  // in an Address

constexpr size_t endpoint_bytes(bool v4) {
  return (v4 ? 4 : 16) + sizeof(Be16);
}

inline uint8_t* put_endpoint(uint8_t* at, const Endpoint& endpoint, bool v4) {
  const size_t skipped = v4 ? kV4At : 0, bytes = sizeof(Address) - skipped;
  std::memcpy(at, endpoint.address.bytes.data() + skipped, bytes);
  std::memcpy(at + bytes, &endpoint.port, sizeof endpoint.port);
  return at + bytes + sizeof endpoint.port;
}

inline Endpoint take_endpoint(std::span<const uint8_t>& rest, bool v4) {
  Endpoint out;
  const size_t skipped = v4 ? kV4At : 0, bytes = sizeof(Address) - skipped;
  if (v4) out.address.bytes[10] = out.address.bytes[11] = 0xff;
  std::memcpy(out.address.bytes.data() + skipped, rest.data(), bytes);
  std::memcpy(&out.port, rest.data() + bytes, sizeof out.port);
  rest = rest.subspan(bytes + sizeof out.port);
  return out;
}

inline uint8_t take_byte(std::span<const uint8_t>& rest) {
  const uint8_t out = rest[0];
  rest = rest.subspan(1);
  return out;
}

inline uint8_t* put_word(uint8_t* at, uint32_t word) {
  const Be32 wire = Be32::of(word);
  std::memcpy(at, &wire, sizeof wire);
  return at + sizeof wire;
}

inline uint32_t take_word(std::span<const uint8_t>& rest) {
  Be32 wire;
  std::memcpy(&wire, rest.data(), sizeof wire);
  rest = rest.subspan(sizeof wire);
  return wire.host();
}

}  // namespace sluice
