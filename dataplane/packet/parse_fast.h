// SPDX-License-Identifier: Apache-2.0
//
// The fast path's parsers, for what nearly every packet is: an untagged TCP segment for this station, over IPv4 without
// options, not fragmented, or over IPv6 without extension headers. All that is constant in its first 32 bytes is
// compared at once, and its fields are moved to where Packet wants them by shuffles of bytes. Need AVX2, as the workers
// do.
#pragma once

#include <immintrin.h>

#include <cstddef>

#include "dataplane/packet/packet.h"

namespace sluice {

static_assert(offsetof(Packet, source) == 0 && offsetof(Packet, destination) == 18 &&
              offsetof(Packet, sequence) == 36 && offsetof(Packet, ack) == 40 && offsetof(Packet, l3_offset) == 44 &&
              offsetof(Packet, l4_offset) == 46 && offsetof(Packet, ip_bytes) == 48 &&
              offsetof(Packet, payload_bytes) == 50 && offsetof(Packet, vlan) == 52 && offsetof(Packet, v6) == 54 &&
              offsetof(Packet, tcp_flags) == 55 && offsetof(Packet, tcp_header_bytes) == 56 &&
              offsetof(Packet, plain) == 57);

/// The constant bytes of a frame for the fast path, to the station whose MAC is the low 48 bits of `own_mac_word`, as
/// it lies in memory; those that vary are 0. Of IPv4 and of IPv6.
struct FastFrames {
  explicit FastFrames(uint64_t own_mac_word) noexcept
      : v4(expected(own_mac_word, 0x0045'0008'0000'0000, int64_t{kProtocolTcp} << 56)),  // at 12, 23; no fragment at 20
        v6(expected(own_mac_word, 0x0060'dd86'0000'0000, int64_t{kProtocolTcp} << 32)) {}  // at 12, 20

  __m256i v4, v6;

 private:
  static __m256i expected(uint64_t own_mac_word, int64_t type_and_version, int64_t protocol) noexcept {
    return _mm256_set_epi64x(0, protocol, type_and_version, static_cast<int64_t>(own_mac_word & 0xffffffffffff));
  }
};

/// The TCP header of a frame for the fast path, which is whole if there is no fault, and its lengths.
struct FastTcp {
  uint32_t header_bytes;
  uint32_t payload_bytes;
  uint32_t flags;
  uint32_t faults;  // negative, as an int, if something is wrong

  /// Of a frame with `total` bytes of IP, its TCP header at `l4` within `data_len`, which is known to hold kBytes of
  /// it.
  [[gnu::always_inline]] FastTcp(const rte_mbuf& mbuf, const uint8_t* data, uint32_t l3, uint32_t l4,
                                 uint32_t total) noexcept
      : header_bytes((data[l4 + tcp::kOffset] >> 4) * 4U),
        payload_bytes(total - (l4 - l3) - header_bytes),
        flags(data[l4 + tcp::kFlags] & 0x1fU),
        // Each of these is negative if something is wrong.
        faults((mbuf.pkt_len - l3 - total) | payload_bytes | (header_bytes - tcp::kBytes) |
               (mbuf.data_len - l4 - header_bytes) | (kContradictory << (31 - flags))) {}

  bool is_sound() const noexcept { return static_cast<int32_t>(faults) >= 0; }

  /// ip_bytes, payload_bytes, vlan, v6, tcp_flags; tcp_header_bytes, plain.
  [[gnu::always_inline]] void store_to(Packet& packet, uint32_t total, bool v6) const noexcept {
    const uint64_t lengths_and_flags =
        total | payload_bytes << 16 | static_cast<uint64_t>(v6) << 48 | static_cast<uint64_t>(flags) << 56;
    const bool takes_fast_path = (flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0;
    auto* rest = reinterpret_cast<uint8_t*>(&packet) + offsetof(Packet, ip_bytes);
    store(rest, lengths_and_flags);
    store(rest + 8, static_cast<uint16_t>(header_bytes | uint32_t{takes_fast_path} << 8));
  }

 private:
  static constexpr uint32_t kContradictory = [] {
    uint32_t set = 0;
    for (uint32_t flags = 0; flags < 32; flags++)
      set |= uint32_t{contradictory_flags(static_cast<uint8_t>(flags))} << flags;
    return set;
  }();
};

/// Whether the first 32 bytes, where `constant` has bits, are as they are `expected`, and no tag came beside them.
[[gnu::always_inline]] inline bool is_fast(const rte_mbuf& mbuf, const uint8_t* data, __m256i expected,
                                           __m256i constant) noexcept {
  if ((mbuf.ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED)) != 0) [[unlikely]]
    return false;
  const __m256i differs = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)), expected);
  return _mm256_testz_si256(differs, constant) != 0;
}

/// Fills in all of `packet` but for fragment_id, as parse_any() does. False, and nothing is done, if `mbuf` is not as
/// `expected.v4` has it, or is in any way unsound.
[[gnu::always_inline]] inline bool parse_fast(const rte_mbuf& mbuf, const FastFrames& expected,
                                              Packet& packet) noexcept {
  constexpr uint32_t kL3 = kEthernetBytes, kL4 = kEthernetBytes + ipv4::kBytes;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  if (mbuf.data_len < kL4 + tcp::kBytes) [[unlikely]]
    return false;
  // Destination MAC; type and version; the fragment field but for its first two bits; protocol.
  const __m256i constant =
      _mm256_set_epi64x(0, static_cast<int64_t>(0xff00ff3f00000000), 0x00ffffff00000000, 0x0000ffffffffffff);
  if (!is_fast(mbuf, data, expected.v4, constant)) [[unlikely]]
    return false;
  const uint32_t total = Be16{load<uint16_t>(data + kL3 + ipv4::kTotalLength)}.host();
  const FastTcp segment(mbuf, data, kL3, kL4, total);
  if (!segment.is_sound()) [[unlikely]]
    return false;

  constexpr char kZero = -1;  // as an index of _mm_shuffle_epi8
  constexpr char kOnes = static_cast<char>(0xff);
  const auto at = [data](uint32_t offset) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + offset)); };
  const __m128i from_source = at(kL3 + ipv4::kSource);            // source, destination, ports, sequence
  const __m128i from_destination = at(kL3 + ipv4::kDestination);  // destination, ports, sequence, ack
  auto* out = reinterpret_cast<__m128i*>(&packet);
  // The source's address, v4-mapped.
  _mm_store_si128(
      out, _mm_or_si128(_mm_shuffle_epi8(from_source, _mm_setr_epi8(kZero, kZero, kZero, kZero, kZero, kZero, kZero,
                                                                    kZero, kZero, kZero, kZero, kZero, 0, 1, 2, 3)),
                        _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, kOnes, kOnes, 0, 0, 0, 0)));
  // Its port, and the destination's address but for two bytes.
  _mm_store_si128(out + 1, _mm_or_si128(_mm_shuffle_epi8(from_source,
                                                         _mm_setr_epi8(8, 9, kZero, kZero, kZero, kZero, kZero, kZero,
                                                                       kZero, kZero, kZero, kZero, kZero, kZero, 4, 5)),
                                        _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, kOnes, kOnes, 0, 0)));
  // These two, its port, the two numbers in host order, and the offsets of the headers.
  _mm_store_si128(
      out + 2, _mm_or_si128(_mm_shuffle_epi8(from_destination, _mm_setr_epi8(2, 3, 6, 7, 11, 10, 9, 8, 15, 14, 13, 12,
                                                                             kZero, kZero, kZero, kZero)),
                            _mm_setr_epi16(0, 0, 0, 0, 0, 0, kL3, kL4)));
  segment.store_to(packet, total, false);
  return true;
}

/// The same for `expected.v6`: without extension headers.
[[gnu::always_inline]] inline bool parse_fast_v6(const rte_mbuf& mbuf, const FastFrames& expected,
                                                 Packet& packet) noexcept {
  constexpr uint32_t kL3 = kEthernetBytes, kL4 = kEthernetBytes + ipv6::kBytes;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  if (mbuf.data_len < kL4 + tcp::kBytes) [[unlikely]]
    return false;
  // Destination MAC; type and version; next header.
  const __m256i constant = _mm256_set_epi64x(0, 0x000000ff00000000, 0x00f0ffff00000000, 0x0000ffffffffffff);
  if (!is_fast(mbuf, data, expected.v6, constant)) [[unlikely]]
    return false;
  const uint32_t total = ipv6::kBytes + Be16{load<uint16_t>(data + kL3 + ipv6::kPayloadLength)}.host();
  const FastTcp segment(mbuf, data, kL3, kL4, total);
  if (!segment.is_sound() || total > 0xffff) [[unlikely]]
    return false;

  const auto at = [data](uint32_t offset) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + offset)); };
  const __m128i source = at(kL3 + ipv6::kSource), destination = at(kL3 + ipv6::kDestination), header = at(kL4);
  // What would be taken for an IPv4 packet's address.
  constexpr char kOnes = static_cast<char>(0xff);
  const __m128i mapped = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, kOnes, kOnes, 0, 0, 0, 0);
  const __m128i prefix = _mm_setr_epi32(-1, -1, -1, 0);
  if (_mm_testz_si128(_mm_xor_si128(source, mapped), prefix) != 0 ||
      _mm_testz_si128(_mm_xor_si128(destination, mapped), prefix) != 0) [[unlikely]]
    return false;
  auto* out = reinterpret_cast<__m128i*>(&packet);
  constexpr char kZero = -1;  // as an index of _mm_shuffle_epi8
  _mm_store_si128(out, source);
  // The source's port, and the destination's address but for two bytes.
  _mm_store_si128(out + 1,
                  _mm_or_si128(_mm_slli_si128(destination, 2), _mm_and_si128(header, _mm_setr_epi32(0xffff, 0, 0, 0))));
  // These two, its port, the two numbers in host order, and the offsets of the headers.
  const __m128i port_and_numbers =
      _mm_shuffle_epi8(header, _mm_setr_epi8(kZero, kZero, 2, 3, 7, 6, 5, 4, 11, 10, 9, 8, kZero, kZero, kZero, kZero));
  _mm_store_si128(out + 2, _mm_or_si128(_mm_or_si128(_mm_srli_si128(destination, 14), port_and_numbers),
                                        _mm_setr_epi16(0, 0, 0, 0, 0, 0, kL3, kL4)));
  segment.store_to(packet, total, true);
  return true;
}

/// One end of a packet that parse_fast() has just taken, from the frame: what it stored in larger pieces cannot be
/// loaded back at once.
[[gnu::always_inline]] inline Endpoint end_of_fast(const rte_mbuf& mbuf, bool source) noexcept {
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kEthernetBytes);
  return {Address::v4(Be32{load<uint32_t>(l3 + (source ? ipv4::kSource : ipv4::kDestination))}),
          Be16{load<uint16_t>(l3 + ipv4::kBytes + (source ? tcp::kSourcePort : tcp::kDestinationPort))}};
}

/// The same for parse_fast_v6().
[[gnu::always_inline]] inline Endpoint end_of_fast_v6(const rte_mbuf& mbuf, bool source) noexcept {
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kEthernetBytes);
  Endpoint out;
  __builtin_memcpy(out.address.bytes.data(), l3 + (source ? ipv6::kSource : ipv6::kDestination), 16);
  out.port.raw = load<uint16_t>(l3 + ipv6::kBytes + (source ? tcp::kSourcePort : tcp::kDestinationPort));
  return out;
}

}  // namespace sluice
