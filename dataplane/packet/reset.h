// SPDX-License-Identifier: Apache-2.0
//
// TCP segments that the balancer makes itself: resets (RFC 9293 section 3.5.2) and, with a payload, PROXY headers.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

#include "dataplane/contract/address.h"
#include "dataplane/packet/packet.h"

namespace sluice {

/// A segment as it is to be sent.
struct MadeSegment {
  Endpoint source;
  Endpoint destination;
  MacAddress source_mac;
  MacAddress destination_mac;
  uint16_t vlan = 0;
  uint8_t flags = kTcpRst;
  uint32_t sequence = 0;
  uint32_t ack = 0;
  Be16 window;
  std::span<const uint8_t> options;  // a multiple of 4 bytes, at most 40
  std::span<const uint8_t> payload;  // at most kMaxMadePayload bytes
};

inline constexpr size_t kMaxMadePayload = 256;

/// Writes the whole frame into `mbuf`, whatever was in it. Both addresses are of one family.
void write_segment(rte_mbuf& mbuf, const MadeSegment& segment) noexcept;

/// The reset that answers `packet`, by the rules of RFC 9293 section 3.5.2, group 1: towards its source, from its
/// destination, and back through the station it came from.
MadeSegment reset_answering(const rte_mbuf& mbuf, const Packet& packet) noexcept;

}  // namespace sluice
