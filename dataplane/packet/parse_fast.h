// SPDX-License-Identifier: Apache-2.0
//
// The fast path's parser, for what nearly every packet is: an untagged IPv4 TCP segment without IP options, not
// fragmented, for this station. All that is constant in its first 32 bytes is compared at once, and its fields are
// moved to where Packet wants them by shuffles of bytes. Needs AVX2, as the workers do.
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
/// it lies in memory; those that vary are 0.
inline __m256i fast_frame(uint64_t own_mac_word) noexcept {
  constexpr int64_t kTypeAndVersion = 0x0045'0008'0000'0000;  // 08 00 45 at 12
  constexpr int64_t kProtocol = int64_t{kProtocolTcp} << 56;  // at 23; no fragment at 20
  return _mm256_set_epi64x(0, kProtocol, kTypeAndVersion, static_cast<int64_t>(own_mac_word & 0xffffffffffff));
}

/// Fills in all of `packet` but for fragment_id, as parse_any() does. False, and nothing is done, if `mbuf` is not as
/// `expected` has it, or is in any way unsound.
[[gnu::always_inline]] inline bool parse_fast(const rte_mbuf& mbuf, __m256i expected, Packet& packet) noexcept {
  constexpr uint32_t kL3 = kEthernetBytes, kL4 = kEthernetBytes + ipv4::kBytes;
  constexpr uint32_t kContradictory = [] {
    uint32_t set = 0;
    for (uint32_t flags = 0; flags < 32; flags++)
      set |= uint32_t{contradictory_flags(static_cast<uint8_t>(flags))} << flags;
    return set;
  }();
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  const uint32_t available = mbuf.data_len;
  if (available < kL4 + tcp::kBytes) [[unlikely]]
    return false;
  if ((mbuf.ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED)) != 0) [[unlikely]]
    return false;
  // Destination MAC; type and version; the fragment field but for its first two bits; protocol.
  const __m256i constant =
      _mm256_set_epi64x(0, static_cast<int64_t>(0xff00ff3f00000000), 0x00ffffff00000000, 0x0000ffffffffffff);
  const __m256i differs = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(data)), expected);
  if (_mm256_testz_si256(differs, constant) == 0) [[unlikely]]
    return false;
  const uint32_t total = Be16{load<uint16_t>(data + kL3 + ipv4::kTotalLength)}.host();
  const uint32_t header_bytes = (data[kL4 + tcp::kOffset] >> 4) * 4U;
  const uint32_t flags = data[kL4 + tcp::kFlags] & 0x1fU;
  const uint32_t payload_bytes = total - ipv4::kBytes - header_bytes;
  // Each of these is negative if something is wrong.
  const uint32_t faults = (mbuf.pkt_len - kL3 - total) | payload_bytes | (header_bytes - tcp::kBytes) |
                          (available - kL4 - header_bytes) | (kContradictory << (31 - flags));
  if (static_cast<int32_t>(faults) < 0) [[unlikely]]
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
  // ip_bytes, payload_bytes, vlan, v6, tcp_flags; tcp_header_bytes, plain.
  const uint64_t lengths_and_flags = total | payload_bytes << 16 | static_cast<uint64_t>(flags) << 56;
  const bool takes_fast_path = (flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0;
  auto* rest = reinterpret_cast<uint8_t*>(&packet) + offsetof(Packet, ip_bytes);
  store(rest, lengths_and_flags);
  store(rest + 8, static_cast<uint16_t>(header_bytes | uint32_t{takes_fast_path} << 8));
  return true;
}

/// One end of a packet that parse_fast() has just taken, from the frame: what it stored in larger pieces cannot be
/// loaded back at once.
[[gnu::always_inline]] inline Endpoint end_of_fast(const rte_mbuf& mbuf, bool source) noexcept {
  const uint8_t* l3 = rte_pktmbuf_mtod_offset(&mbuf, const uint8_t*, kEthernetBytes);
  return {Address::v4(Be32{load<uint32_t>(l3 + (source ? ipv4::kSource : ipv4::kDestination))}),
          Be16{load<uint16_t>(l3 + ipv4::kBytes + (source ? tcp::kSourcePort : tcp::kDestinationPort))}};
}

}  // namespace sluice
