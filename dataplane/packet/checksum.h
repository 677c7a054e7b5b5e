// SPDX-License-Identifier: Apache-2.0
//
// Internet checksum arithmetic (RFC 1071), full and incremental (RFC 1624, equation 3). Sums are of
// 16-bit words as they lie in memory: one's complement addition does not care about byte order.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/contract/address.h"

namespace sluice {

/// A sum of 16-bit words, not yet folded.
inline uint64_t sum_words(const uint8_t* data, size_t bytes, uint64_t sum = 0) {
  for (; bytes >= 4; bytes -= 4, data += 4) {
    uint32_t word;
    std::memcpy(&word, data, 4);
    sum += word;
  }
  if (bytes >= 2) {
    uint16_t word;
    std::memcpy(&word, data, 2);
    sum += word;
    bytes -= 2;
    data += 2;
  }
  return bytes != 0 ? sum + *data : sum;  // a last odd byte is padded with zero behind it
}

constexpr uint16_t fold(uint64_t sum) {
  // A half and the other half, and what both carry over, come to lie above.
  const auto half = static_cast<uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<uint16_t>((half + std::rotl(half, 16)) >> 16);
}

/// What it adds to a sum of words that those of `kBytes` bytes take the place of others (RFC 1624 equation 3), not yet
/// folded. `kBytes`: a multiple of four.
template <size_t kBytes>
inline uint64_t sum_of_change(const uint8_t* before, const uint8_t* after) {
  static_assert(kBytes % 4 == 0);
  uint64_t sum = 0;
  for (size_t at = 0; at < kBytes; at += 4) {
    uint32_t removed, added;
    std::memcpy(&removed, before + at, 4);
    std::memcpy(&added, after + at, 4);
    sum += uint64_t{~removed} + added;
  }
  return sum;
}

/// The folded sum of an address as the pseudo header sees it (4 or 16 bytes).
inline uint16_t address_sum(const Address& address) {
  return address.is_v4() ? fold(sum_words(&address.bytes[12], 4)) : fold(sum_words(address.bytes.data(), 16));
}

/// `checksum` after the words that summed up to `removed` (folded) have been replaced by words that sum up to `added`
/// (folded). RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
constexpr uint16_t update_checksum(uint16_t checksum, uint16_t removed, uint16_t added) {
  uint32_t sum = static_cast<uint16_t>(~checksum) + uint32_t{static_cast<uint16_t>(~removed)} + added;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

/// The same for an IPv4 header that also loses a hop: its TTL is the low byte of a word in memory, so 1 is taken from
/// the sum.
constexpr uint16_t update_checksum_and_ttl(uint16_t checksum, uint16_t removed, uint16_t added) {
  uint32_t sum = static_cast<uint16_t>(~checksum) + uint32_t{static_cast<uint16_t>(~removed)} + added + 0xfffeU;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

/// `checksum` after a change that adds `change` to the sum of its words.
constexpr uint16_t apply_change(uint16_t checksum, uint64_t change) {
  return static_cast<uint16_t>(~fold(static_cast<uint16_t>(~checksum) + change));
}

inline EndpointSums endpoint_sums(const Endpoint& endpoint) {
  const uint16_t address = address_sum(endpoint.address);
  return {.endpoint = fold(uint64_t{address} + endpoint.port.raw), .address = address};
}

/// The TCP checksum and that of the IPv4 header (upper half) of a packet that loses a hop and in which one endpoint
/// takes another's place: update_checksum() and update_checksum_and_ttl() in one.
inline uint64_t update_checksums(uint64_t tcp_and_ipv4, const EndpointSums& removed, const EndpointSums& added) {
  constexpr uint64_t kHalves = 0x0000'ffff'0000'ffff;
  constexpr uint64_t kNegated = 2 * kHalves + (uint64_t{0xfffe} << 32);  // of checksum and removed; the hop
  uint64_t before, after;
  std::memcpy(&before, &removed, sizeof before);
  std::memcpy(&after, &added, sizeof after);
  uint64_t sum = kNegated - tcp_and_ipv4 - before + after;
  sum = (sum & kHalves) + (sum >> 16 & kHalves);
  sum = (sum & kHalves) + (sum >> 16 & kHalves);
  return ~sum & kHalves;
}

/// The TCP checksum of `segment` (its checksum field counted as it stands: zero it to compute, leave it to verify, when
/// a right one gives 0).
inline uint16_t tcp_checksum(const Address& source, const Address& destination, const uint8_t* segment, size_t bytes) {
  uint64_t sum = uint64_t{address_sum(source)} + address_sum(destination);
  sum += Be16::of(6).raw;
  sum += Be32::of(static_cast<uint32_t>(bytes)).raw;
  return static_cast<uint16_t>(~fold(sum_words(segment, bytes, sum)));
}

/// The checksum of an IPv4 header (its field counted as it stands).
inline uint16_t ipv4_checksum(const uint8_t* header, size_t bytes) {
  return static_cast<uint16_t>(~fold(sum_words(header, bytes)));
}

}  // namespace sluice
