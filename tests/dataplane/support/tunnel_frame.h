// SPDX-License-Identifier: Apache-2.0
//
// Takes tunnelled frames apart for tests: IP in IP, and GUE variant 1. Checksums are computed the slow, obvious way.
#pragma once

#include <cstdint>
#include <optional>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {

/// A tunnelled packet and the outer header that it came in.
struct Unwrapped {
  MacAddress destination_mac;
  uint16_t vlan = 0;
  Address source;
  Address destination;
  uint8_t protocol = 0;
  uint8_t ttl = 0;
  uint8_t traffic_class = 0;
  bool may_fragment = false;
  uint16_t source_port = 0;  // of GUE
  uint16_t destination_port = 0;
  Bytes inner;  // in an Ethernet frame of its own, for read() and read_icmp()
};

/// nullopt if the frame is not tunnelled, or a checksum or length of its outer headers is wrong.
std::optional<Unwrapped> unwrap(const Bytes& frame);

/// The frame with another byte for DSCP and ECN, its checksum put right.
Bytes with_traffic_class(Bytes frame, uint8_t traffic_class);

}  // namespace sluice::testing
