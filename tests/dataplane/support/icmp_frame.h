// SPDX-License-Identifier: Apache-2.0
//
// Builds and reads ICMP and ICMPv6 messages for tests, checksums computed the slow, obvious way.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {

/// An ICMP message in its frame; the family is that of the addresses.
struct IcmpFrame {
  MacAddress destination_mac = mac(0x01);
  MacAddress source_mac = mac(0xc1);
  uint16_t vlan = 0;
  Address source;
  Address destination;
  uint8_t ttl = 64;
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t rest = 0;  // the message's second word
  Bytes quoted;       // all behind it

  Bytes bytes() const;
};

/// The message in a frame. nullopt if it is none, or a checksum in it is wrong.
std::optional<IcmpFrame> read_icmp(const Bytes& frame);

/// The IP packet in a frame: all but the Ethernet header.
Bytes ip_packet(const Bytes& frame);

/// The first `bytes` of it.
Bytes ip_packet(const Bytes& frame, size_t bytes);

}  // namespace sluice::testing
