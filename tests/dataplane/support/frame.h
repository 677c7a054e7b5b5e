// SPDX-License-Identifier: Apache-2.0
//
// Builds and reads Ethernet frames for tests, with complete checksums computed the slow, obvious way:
// independent of the code under test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/contract/address.h"

namespace sluice::testing {

using Bytes = std::vector<uint8_t>;

/// An address from text, either family; aborts if the text is wrong.
Address address(const std::string& text);
/// "10.0.0.1", 25.
Endpoint endpoint(const std::string& text, uint16_t port);
/// A locally administered MAC that ends in `last`.
MacAddress mac(uint8_t last);

/// Fluent builder of a TCP frame: `Frame().from(client).to(vip).syn().seq(1000)`.
class Frame {
 public:
  Frame& from(const Endpoint& endpoint) { return source_ = endpoint, *this; }
  Frame& to(const Endpoint& endpoint) { return destination_ = endpoint, *this; }
  Frame& from_mac(const MacAddress& address) { return source_mac_ = address, *this; }
  Frame& to_mac(const MacAddress& address) { return destination_mac_ = address, *this; }
  Frame& vlan(uint16_t id) { return vlan_ = id, *this; }
  Frame& seq(uint32_t n) { return seq_ = n, *this; }
  Frame& ack(uint32_t n) { return ack_ = n, flags_ |= 0x10, *this; }
  Frame& syn() { return flags_ |= 0x02, *this; }
  Frame& fin() { return flags_ |= 0x01, *this; }
  Frame& rst() { return flags_ |= 0x04, *this; }
  Frame& window(uint16_t bytes) { return window_ = bytes, *this; }
  Frame& psh() { return flags_ |= 0x08, *this; }
  Frame& ttl(uint8_t hops) { return ttl_ = hops, *this; }
  Frame& payload(Bytes bytes) { return payload_ = std::move(bytes), *this; }
  Frame& payload(const std::string& text) { return payload(Bytes(text.begin(), text.end())); }
  Frame& tcp_options(Bytes bytes) { return tcp_options_ = std::move(bytes), *this; }  // padded to 4
  Frame& ip_options(Bytes bytes) { return ip_options_ = std::move(bytes), *this; }    // IPv4 only, padded to 4
  Frame& fragment(uint16_t field) { return fragment_ = field, *this; }                // IPv4 flags and offset

  Bytes bytes() const;

 private:
  Endpoint source_;
  Endpoint destination_;
  MacAddress source_mac_ = mac(0xc1);
  MacAddress destination_mac_ = mac(0x01);
  uint16_t vlan_ = 0;
  uint32_t seq_ = 0;
  uint32_t ack_ = 0;
  uint8_t flags_ = 0;
  uint8_t ttl_ = 64;
  uint16_t window_ = 0xfaf0;
  uint16_t fragment_ = 0x4000;
  Bytes payload_;
  Bytes tcp_options_;
  Bytes ip_options_;
};

/// A TCP frame read back. `nullopt` from read() if it is not one, or a checksum in it is wrong.
struct ReadFrame {
  MacAddress destination_mac;
  MacAddress source_mac;
  uint16_t vlan = 0;
  Endpoint source;
  Endpoint destination;
  uint8_t ttl = 0;
  uint8_t flags = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint16_t window = 0;
  Bytes tcp_options;
  Bytes payload;
};

std::optional<ReadFrame> read(const Bytes& frame);

}  // namespace sluice::testing
