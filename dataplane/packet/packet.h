// SPDX-License-Identifier: Apache-2.0
//
// A received frame, parsed: what the later stages need, and nothing believed that was not checked
// against the bytes present. Ethernet (one VLAN tag at most), IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/contract/address.h"

namespace sluice {

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;

inline constexpr uint8_t kProtocolIcmp = 1, kProtocolTcp = 6, kProtocolIcmp6 = 58;
// Extension headers of IPv6, and how many are gone through.
inline constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragmentHeader = 44, kDestinationOptions = 60;
inline constexpr uint32_t kMaxExtensionHeaders = 4;

inline constexpr bool is_extension_header(uint8_t next) noexcept {
  return next == kHopByHop || next == kRouting || next == kFragmentHeader || next == kDestinationOptions;
}
inline constexpr uint8_t kHops = 64;  // of packets that we make

inline constexpr uint32_t kEthernetBytes = 14;
inline constexpr uint32_t kVlanBytes = 4;
inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;
inline constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;

// Offsets of fields within their headers.
namespace ipv4 {
inline constexpr uint32_t kTotalLength = 2, kIdentification = 4, kFragment = 6, kTtl = 8, kProtocol = 9, kChecksum = 10,
                          kSource = 12, kDestination = 16, kBytes = 20;
}
namespace ipv6 {
inline constexpr uint32_t kPayloadLength = 4, kNextHeader = 6, kHopLimit = 7, kSource = 8, kDestination = 24,
                          kBytes = 40;
}
namespace tcp {
inline constexpr uint32_t kSourcePort = 0, kDestinationPort = 2, kSequence = 4, kAck = 8, kOffset = 12, kFlags = 13,
                          kWindow = 14, kChecksum = 16, kUrgent = 18, kBytes = 20;
}

template <typename T>
inline T load(const uint8_t* from) {
  T out;
  __builtin_memcpy(&out, from, sizeof out);
  return out;
}

template <typename T>
inline void store(uint8_t* to, T value) {
  __builtin_memcpy(to, &value, sizeof value);
}

enum class ParseVerdict : uint8_t {
  kTcp,            // all of Packet is filled in, but for fragment_id
  kFirstFragment,  // of a TCP segment, its header whole: all of Packet is filled in
  kFragment,       // a later one: addresses, offsets and fragment_id are filled in; l4_offset is where its data begins
  kIcmp,           // ICMP of the packet's family: addresses and offsets are filled in
  kOther,          // for the kernel
  kOtherHost,      // addressed to another station
  kV4Mapped,       // IPv6 with an IPv4-mapped address
  kDoubleTagged,   // behind two VLAN tags, or a service tag (IEEE 802.1ad)
  kTruncated,
  kMalformed,
};

/// Whether a packet is a plain one: no IPv4 options or IPv6 extensions, none of SYN, FIN, RST.
enum class Plain : uint8_t { kNo, kUntagged, kTagged };

struct alignas(64) Packet {
  Endpoint source;
  Endpoint destination;
  uint32_t sequence;  // host order
  uint32_t ack;
  uint16_t l3_offset;  // from the start of the mbuf's data
  uint16_t l4_offset;
  uint16_t ip_bytes;       // IP header and all that belongs to it
  uint16_t payload_bytes;  // TCP payload
  uint16_t vlan;           // 0 = untagged
  bool v6;
  uint8_t tcp_flags;
  uint8_t tcp_header_bytes;
  Plain plain;           // kNo unless by parse_fast()
  uint32_t fragment_id;  // the datagram's identification, host order; of fragments only

  /// Sequence space that the segment takes (RFC 9293 section 3.4).
  uint32_t sequence_length() const {
    return payload_bytes + ((tcp_flags & kTcpSyn) != 0 ? 1U : 0U) + ((tcp_flags & kTcpFin) != 0 ? 1U : 0U);
  }
};

static_assert(sizeof(Packet) == 64);

/// Flags that contradict each other: SYN with FIN or RST, or none of SYN, RST and ACK.
constexpr bool contradictory_flags(uint8_t flags) {
  return (flags & (kTcpSyn | kTcpFin)) == (kTcpSyn | kTcpFin) || (flags & (kTcpSyn | kTcpRst)) == (kTcpSyn | kTcpRst) ||
         (flags & (kTcpSyn | kTcpRst | kTcpAck)) == 0;
}

/// Parses the frame in `mbuf`, with every case considered. Headers must lie in its first segment.
ParseVerdict parse_any(const rte_mbuf& mbuf, const MacAddress& own_mac, Packet& packet) noexcept;

}  // namespace sluice
