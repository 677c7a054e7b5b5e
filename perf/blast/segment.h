// SPDX-License-Identifier: Apache-2.0
//
// A TCP segment made once and sent many times: Ethernet, IP and TCP headers and a payload, into which addresses, ports
// and numbers are put. Its checksums are right: the sum over what does not change is kept with it.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "dataplane/packet/packet.h"

namespace sluice::blast {

/// Who sends to whom, on one link.
struct Path {
  MacAddress source_mac;
  MacAddress destination_mac;
  Endpoint source;
  Endpoint destination;
};

inline constexpr uint16_t kMss = 1400;  // offered; leaves room for the balancer's tunnels

class Segment {
 public:
  /// With SYN among the flags it offers kMss.
  Segment(bool v6, uint8_t flags, std::string_view payload);

  /// Fills an empty mbuf. Addresses must be of the family that the segment was made for.
  void write(rte_mbuf& mbuf, const Path& path, uint32_t sequence, uint32_t ack) const;

  /// Sequence space that it takes.
  uint32_t length() const { return length_; }

 private:
  bool v6_;
  uint32_t length_;
  uint32_t l4_offset_;
  std::vector<uint8_t> bytes_;
  uint64_t l4_sum_;  // unfolded, of TCP header, payload and pseudo header without addresses, ports and numbers
  uint64_t l3_sum_;  // of the IPv4 header without addresses
};

/// Whether a received segment's checksums are right. Costs a pass over its bytes.
bool has_right_checksums(const rte_mbuf& mbuf, const Packet& packet);

/// A received segment's payload.
inline std::string_view payload_of(const rte_mbuf& mbuf, const Packet& packet) {
  const uint32_t offset = uint32_t{packet.l4_offset} + packet.tcp_header_bytes;
  return {rte_pktmbuf_mtod_offset(&mbuf, const char*, offset), packet.payload_bytes};
}

}  // namespace sluice::blast
