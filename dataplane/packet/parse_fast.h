// SPDX-License-Identifier: Apache-2.0
//
// The fast path's parsers, for what nearly every packet is: a TCP segment for this station, over IPv4 without options,
// not fragmented, or over IPv6 without extension headers. All that is constant in its first 32 bytes is compared at
// once, and its fields are moved to where Packet wants them by shuffles of bytes. `kL3`: where its IP header begins,
// behind Ethernet's, or behind one VLAN tag. Need AVX2, as the workers do.
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

inline constexpr uint32_t kBehindTag = kEthernetBytes + kVlanBytes;

/// The constant bytes of a frame for the fast path, to the station whose MAC is the low 48 bits of `own_mac_word`, as
/// it lies in memory; those that vary are 0. Of IPv4 and of IPv6. And which bytes these are: the station's MAC; types,
/// version and length of the header; of IPv4 the fragment field but for its first two bits; the protocol.
template <uint32_t kL3 = kEthernetBytes>
struct FastFrames {
  static_assert(kL3 == kEthernetBytes || kL3 == kBehindTag);
  static constexpr bool kTagged = kL3 == kBehindTag;
  static constexpr int64_t kMac = 0x0000'ffff'ffff'ffff;

  explicit FastFrames(uint64_t own_mac_word) noexcept {
    const auto mac = static_cast<int64_t>(own_mac_word & kMac);
    if constexpr (kTagged) {
      v4 = _mm256_set_epi64x(int64_t{kProtocolTcp} << 24, 0x45'0008, 0x0081'0000'0000, mac);
      v6 = _mm256_set_epi64x(kProtocolTcp, 0x60'dd86, 0x0081'0000'0000, mac);
    } else {
      v4 = _mm256_set_epi64x(0, int64_t{kProtocolTcp} << 56, 0x0045'0008'0000'0000, mac);
      v6 = _mm256_set_epi64x(0, int64_t{kProtocolTcp} << 32, 0x0060'dd86'0000'0000, mac);
    }
  }

  static __m256i constant_v4() noexcept {
    if constexpr (kTagged) return _mm256_set_epi64x(0xff00'ff3f, 0xff'ffff, 0xffff'0000'0000, kMac);
    return _mm256_set_epi64x(0, static_cast<int64_t>(0xff00'ff3f'0000'0000), 0x00ff'ffff'0000'0000, kMac);
  }
  static __m256i constant_v6() noexcept {
    if constexpr (kTagged) return _mm256_set_epi64x(0xff, 0xf0'ffff, 0xffff'0000'0000, kMac);
    return _mm256_set_epi64x(0, 0x0000'00ff'0000'0000, 0x00f0'ffff'0000'0000, kMac);
  }

  /// The VLAN id of such a frame.
  static uint16_t vlan(const uint8_t* data) noexcept {
    return kTagged ? Be16{load<uint16_t>(data + kEthernetBytes)}.host() & 0x0fff : uint16_t{0};
  }

  __m256i v4, v6;
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
  template <uint32_t kL3>
  [[gnu::always_inline]] void store_to(Packet& packet, uint32_t total, uint16_t vlan, bool v6) const noexcept {
    constexpr auto kPlain = static_cast<uint32_t>(kL3 == kBehindTag ? Plain::kTagged : Plain::kUntagged);
    const uint64_t lengths_and_flags = total | payload_bytes << 16 | static_cast<uint64_t>(vlan) << 32 |
                                       static_cast<uint64_t>(v6) << 48 | static_cast<uint64_t>(flags) << 56;
    const bool takes_fast_path = (flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0;
    auto* rest = reinterpret_cast<uint8_t*>(&packet) + offsetof(Packet, ip_bytes);
    store(rest, lengths_and_flags);
    store(rest + 8, static_cast<uint16_t>(header_bytes | (takes_fast_path ? kPlain : 0) << 8));
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
  if ((mbuf.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) [[unlikely]]
    return false;
  const __m256i differs = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)), expected);
  return _mm256_testz_si256(differs, constant) != 0;
}

/// Fills in all of `packet` but for fragment_id, as parse_any() does. False, and nothing is done, if `mbuf` is not as
/// `expected.v4` has it, or is in any way unsound.
template <uint32_t kL3>
[[gnu::always_inline]] inline bool parse_fast(const rte_mbuf& mbuf, const FastFrames<kL3>& expected,
                                              Packet& packet) noexcept {
  constexpr uint32_t kL4 = kL3 + ipv4::kBytes;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  if (mbuf.data_len < kL4 + tcp::kBytes) [[unlikely]]
    return false;
  if (!is_fast(mbuf, data, expected.v4, expected.constant_v4())) [[unlikely]]
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
  segment.store_to<kL3>(packet, total, expected.vlan(data), false);
  return true;
}

/// The same for `expected.v6`: without extension headers.
template <uint32_t kL3>
[[gnu::always_inline]] inline bool parse_fast_v6(const rte_mbuf& mbuf, const FastFrames<kL3>& expected,
                                                 Packet& packet) noexcept {
  constexpr uint32_t kL4 = kL3 + ipv6::kBytes;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  if (mbuf.data_len < kL4 + tcp::kBytes) [[unlikely]]
    return false;
  if (!is_fast(mbuf, data, expected.v6, expected.constant_v6())) [[unlikely]]
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
  segment.store_to<kL3>(packet, total, expected.vlan(data), true);
  return true;
}

/// One end of a packet that parse_fast() has just taken, from the frame: what it stored in larger pieces cannot be
/// loaded back at once.
template <uint32_t kL3 = kEthernetBytes>
[[gnu::always_inline]] inline Endpoint end_of_fast(const rte_mbuf& mbuf, bool source) noexcept {
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kL3);
  return {Address::v4(Be32{load<uint32_t>(l3 + (source ? ipv4::kSource : ipv4::kDestination))}),
          Be16{load<uint16_t>(l3 + ipv4::kBytes + (source ? tcp::kSourcePort : tcp::kDestinationPort))}};
}

/// The same for parse_fast_v6().
template <uint32_t kL3 = kEthernetBytes>
[[gnu::always_inline]] inline Endpoint end_of_fast_v6(const rte_mbuf& mbuf, bool source) noexcept {
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kL3);
  Endpoint out;
  __builtin_memcpy(out.address.bytes.data(), l3 + (source ? ipv6::kSource : ipv6::kDestination), 16);
  out.port.raw = load<uint16_t>(l3 + ipv6::kBytes + (source ? tcp::kSourcePort : tcp::kDestinationPort));
  return out;
}

}  // namespace sluice
