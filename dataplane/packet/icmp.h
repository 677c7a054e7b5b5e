// SPDX-License-Identifier: Apache-2.0
//
// ICMP and ICMPv6 errors (RFC 792, RFC 4443): reading one that quotes a TCP segment, rewriting it for the other side of
// a NAT (RFC 5508 section 4), and making one of our own when a packet is too big for its way out. Nothing is
// believed that was not checked against the bytes present; checksums are updated from the words that change, so
// an error that a message came with stays visible to its receiver.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/packet/packet.h"

namespace sluice {

/// Offsets of fields within the ICMP message; both families share them.
namespace icmp {
inline constexpr uint32_t kType = 0, kCode = 1, kChecksum = 2, kMtu4 = 6, kMtu6 = 4, kBytes = 8;
}

/// What an error quotes of the segment that it is about. Offsets are from the start of the mbuf's data.
struct IcmpError {
  Endpoint source;
  Endpoint destination;
  uint32_t sequence;   // host order
  uint16_t l3_offset;  // of the quoted IP header
  uint16_t l4_offset;  // of the quoted TCP header
  uint16_t l4_bytes;   // of the segment, as many as are present: at least 8 (ports and sequence number)
};

/// Reads the error in `mbuf` (verdict kIcmp in `packet`). False if it is no error (an echo, a neighbour solicitation),
/// or does not quote the start of a TCP segment sent by the station that the error is addressed to.
bool read_icmp_error(const rte_mbuf& mbuf, const Packet& packet, IcmpError& error) noexcept;

/// What a router says of a packet of one of our tunnels: that it was too big.
struct TunnelTooBig {
  Address tunnel_destination;
  IcmpError inner;  // what is quoted of the segment within
  bool inner_v6;
  uint16_t mtu = 0;  // that is left to what goes through the tunnel
};

/// Reads a "too big" in `mbuf` (verdict kIcmp in `packet`) that quotes an outer header that `packet.destination` sent
/// (see encapsulate.h), and the start of a TCP segment in it. False if it is not that.
bool read_tunnel_too_big(const rte_mbuf& mbuf, const Packet& packet, TunnelTooBig& out) noexcept;

/// What an error is to say on the other side.
struct IcmpRewrite {
  Address source;  // of the error itself; it goes to `quoted_source`
  Endpoint quoted_source;
  Endpoint quoted_destination;
  uint32_t sequence_shift = 0;  // added to the quoted sequence number
  uint32_t ack_shift = 0;       // added to the quoted acknowledgement, if it is present
};

/// Rewrites the error in place and takes one hop off. Lengths do not change; all addresses are of the family that the
/// message has.
void rewrite_icmp_error(rte_mbuf& mbuf, const Packet& packet, const IcmpError& error,
                        const IcmpRewrite& rewrite) noexcept;

/// Writes into `out` (fresh from a pool) the whole frame that tells the sender of `packet` that it is longer than
/// `mtu`: fragmentation needed (RFC 1191 section 4) or packet too big (RFC 4443 section 3.2), back through the station
/// it came from. It is sent in the name of the packet's destination: an address that the sender's way back surely
/// admits. `packet` must not have been rewritten yet.
void write_too_big(rte_mbuf& out, const rte_mbuf& mbuf, const Packet& packet, uint16_t mtu) noexcept;

/// Whether a quoted sequence number may be of a segment still in flight, `next` being the one that its sender will use
/// next (RFC 5927 section 4.1). What was acknowledged is not tracked here, so the window is as wide as a mail
/// flow's in flight may be; the flow's own end checks exactly.
constexpr bool believable_quote(uint32_t next, uint32_t sequence) {
  constexpr uint32_t kInFlight = 1U << 23;
  return next - sequence <= kInFlight;
}

}  // namespace sluice
