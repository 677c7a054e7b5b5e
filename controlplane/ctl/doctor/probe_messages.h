// SPDX-License-Identifier: Apache-2.0
//
// What the doctor sends to the stations of a link, and what it reads of that which comes back: bytes of strangers.
// Pure.
#pragma once

#include <cstdint>
#include <span>
#include <variant>

#include "config/model.h"
#include "controlplane/base/neighbor_messages.h"

namespace sluice::ctl {

/// A message on a link, without Ethernet's header.
struct LinkMessage {
  MacAddress to;
  uint16_t ethertype = 0;
  control::PacketBytes bytes;
};

/// "Who has this address?", so that nobody learns what is not so from question or answer. Of IPv4 the probe of RFC
/// 5227, 2.1.1: it names no sender. Of IPv6 a solicitation from `source`, an address of ours on that link, as the
/// answer to one from nowhere would go to all stations, and be believed (RFC 4861, 7.2.4 and 7.2.5).
LinkMessage address_probe(const MacAddress& mac, const config::IpAddress& source, const config::IpAddress& address);

/// A TCP segment without data, and without options.
struct Segment {
  config::SocketAddress from;
  config::SocketAddress to;
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;
  uint8_t flags = 0;  // kSyn, kRst, kAck

  static constexpr uint8_t kSyn = 0x02, kRst = 0x04, kAck = 0x10;

  friend bool operator==(const Segment&, const Segment&) = default;
};
/// The IP packet; both ends are of one family.
control::PacketBytes bytes_of(const Segment& segment, uint8_t hops);

/// A station says that it has an address.
struct Claim {
  config::IpAddress address;
  MacAddress mac;
};

/// Nothing: it is something else, or broken.
using Heard = std::variant<std::monostate, Claim, Segment>;

/// Reads a frame that came from the station with that MAC address: what is behind Ethernet's header. An ARP reply, a
/// neighbour advertisement, or a TCP segment (of which data and options are left out) that is no fragment and has no
/// extension headers. Checksums are not looked at.
Heard heard_in(uint16_t ethertype, std::span<const uint8_t> packet, const MacAddress& station);

}  // namespace sluice::ctl
