// SPDX-License-Identifier: Apache-2.0
//
// RST segments that the balancer makes itself (RFC 9293 section 3.5.2).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/packet.h"

namespace sluice {

/// A segment without payload or options, as it is to be sent.
struct BareSegment {
  Endpoint source;
  Endpoint destination;
  MacAddress source_mac;
  MacAddress destination_mac;
  uint16_t vlan = 0;
  uint8_t flags = kTcpRst;
  uint32_t sequence = 0;
  uint32_t ack = 0;
};

/// Writes the whole frame into `mbuf`, whatever was in it. Both addresses are of one family.
void write_segment(rte_mbuf& mbuf, const BareSegment& segment) noexcept;

/// The reset that answers `packet`, by the rules of RFC 9293 section 3.5.2, group 1: towards its source, from its
/// destination, and back through the station it came from.
BareSegment reset_answering(const rte_mbuf& mbuf, const Packet& packet) noexcept;

}  // namespace sluice
