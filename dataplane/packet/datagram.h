// SPDX-License-Identifier: Apache-2.0
//
// What a frame of any kind says of itself, as far as the exception path asks: which protocol, from whom, to whom.
// Nothing is believed that is not there: what a frame is too short for stays zero.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/contract/address.h"

namespace sluice {

inline constexpr uint8_t kProtocolIgmp = 2, kProtocolOspf = 89, kProtocolPim = 103, kProtocolVrrp = 112;

struct Datagram {
  enum class Kind : uint8_t {
    kOther,  // neither of these
    kArp,
    kLink,  // stations' own protocols: IS-IS and spanning tree (IEEE 802.3 frames), LACP, LLDP
    kIp,
  };

  Kind kind = Kind::kOther;
  bool to_group = false;  // the station is a multicast or broadcast address
  // Of kIp only:
  bool fragment = false;
  uint8_t protocol = 0;  // behind IPv6's extension headers
  uint8_t hops = 0;      // TTL or hop limit
  uint8_t icmp_type = 0;
  Endpoint source;  // the port of TCP and UDP, unless it is a fragment
  Endpoint destination;

  bool is_icmp() const noexcept;
  /// Of the hop limit that no router leaves as it is (RFC 5082): nobody but a station on the link can have sent it.
  bool is_unrouted() const noexcept { return hops == 255; }
  bool is_echo_request() const noexcept;
  /// Router and neighbour solicitations and advertisements, and redirects, from a station on the link (RFC 4861
  /// section 7.1: no router has passed it on).
  bool is_neighbor_discovery() const noexcept;
  /// Multicast listener discovery (RFC 3810) and IGMP.
  bool is_group_membership() const noexcept;
};

Datagram read_datagram(const rte_mbuf& mbuf) noexcept;

}  // namespace sluice
