// SPDX-License-Identifier: Apache-2.0
//
// What mail servers say and hear for themselves (mail that goes out, DNS, NTP) is routed here, both ways, by the
// kernel's routes and neighbours as control has told of them (server_routes.h). Only plain packets are: whatever takes
// more than the next hop and one hop less is left to the kernel, as is what has no next hop yet, so that the kernel
// answers with the ICMP error, or asks for the neighbour. Thread safety: none; one worker owns it.
//
// What is never routed: packets to or from VIPs, addresses of ours, groups, and where nobody is; between two ports that
// face clients; from a backend's service, which without a flow would reach the client from an address that it does not
// know; to a backend's service, which is to be reached by way of the VIP and its limits; back to the station that a
// packet comes from.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/packet/datagram.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/context.h"

namespace sluice {

class ServerRouter {
 public:
  explicit ServerRouter(const Context& context) noexcept
      : setup_(context.setup), counters_(context.counters), state_(context.state), egress_(context.egress) {}

  /// Routes a frame to a station of ours that came through `port`, and says this of itself. False if it is the
  /// kernel's; it is as it was then.
  bool pass(uint32_t port, rte_mbuf* mbuf, const Datagram& datagram) noexcept;

 private:
  /// Where the packet comes from, as far as it matters.
  enum class From : uint8_t { kServer, kElsewhere, kNowhere };

  From whence(uint32_t port, const rte_mbuf& mbuf, const Datagram& datagram) const noexcept;
  bool is_end(const Address& address) const noexcept;
  bool may_be_for_service(const Datagram& datagram) const noexcept;
  static bool is_plain(const uint8_t* l3, const Datagram& datagram) noexcept;
  bool read_plain(uint32_t port, const rte_mbuf& mbuf, const Datagram& datagram, Packet& packet) const noexcept;

  const WorkerSetup& setup_;
  Counters& counters_;
  const ForwardingState& state_;
  Egress& egress_;
};

}  // namespace sluice
