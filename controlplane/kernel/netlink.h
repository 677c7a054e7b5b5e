// SPDX-License-Identifier: Apache-2.0
//
// The few rtnetlink messages that resolving next hops and announcing VIPs take: requests as bytes, answers and
// notifications as values. No sockets here. Built and read with libmnl; numbers as in rtnetlink(7).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "config/model.h"
#include "dataplane/contract/address.h"

namespace sluice::control::netlink {

using Bytes = std::vector<uint8_t>;

/// A network interface, new or changed; or gone.
struct Link {
  int index = 0;
  std::string name;
  bool up = false;  // IFF_UP and IFF_LOWER_UP
  std::optional<MacAddress> mac;
  bool gone = false;
};

/// A neighbour entry, new or changed; or gone.
struct Neighbor {
  int link = 0;
  config::IpAddress address;
  uint16_t state = 0;  // NUD_*
  std::optional<MacAddress> mac;
  bool gone = false;
};

/// One of several ways of a route.
struct RouteHop {
  int link = 0;
  std::optional<config::IpAddress> gateway;
};

/// A route, as the answer to a request about one address, or as a notification that one changed.
struct Route {
  uint8_t type = 0;  // RTN_*
  uint8_t prefix_bits = 0;
  config::IpAddress destination;  // of the prefix; value-initialised for a default route
  bool is_v4 = false;
  int link = 0;                              // output interface
  std::optional<config::IpAddress> gateway;  // none: the destination is on the link
  std::vector<RouteHop> hops;                // of a route with several; `link` is the first one's
  uint32_t table = 0;
  uint8_t protocol = 0;  // RTPROT_*: who made it
  uint32_t metric = 0;
  bool dead = false;     // its interface is down: it is not gone by
  bool special = false;  // not for every packet to its destination, or more is done with them than to hand them on
};

/// A rule of policy routing.
struct Rule {
  bool is_v4 = false;
  uint32_t priority = 0;
  uint32_t table = 0;
  bool ordinary = false;  // one of those that are there from the start, and for all packets
};

/// An address of an interface, new or changed; or gone.
struct InterfaceAddress {
  int link = 0;
  config::IpAddress address;
  uint8_t prefix_bits = 0;
  uint8_t protocol = 0;  // IFAPROT_*, or another number of whoever made it; 0 = nobody says
  bool usable = false;   // global, and not waiting for duplicate detection, on its way out, or for privacy only
  bool gone = false;
};

/// The kernel's verdict on a request: errno, 0 = done.
struct Status {
  int error = 0;
};

/// End of a dump.
struct Done {};

/// What was dumped changed meanwhile: the dump may lack something (NLM_F_DUMP_INTR).
struct Interrupted {};

using Message = std::variant<Link, Neighbor, Route, Rule, InterfaceAddress, Status, Done, Interrupted>;

Bytes dump_links(uint32_t sequence);
Bytes dump_neighbors(uint32_t sequence);
Bytes dump_addresses(uint32_t sequence);
Bytes dump_routes(uint32_t sequence);
/// Of one table and family (AF_*). All tables' routes come from a socket that is not strict.
Bytes dump_routes(uint8_t family, uint32_t table, uint32_t sequence);
/// Of one family (AF_*).
Bytes dump_rules(uint8_t family, uint32_t sequence);
Bytes get_route(const config::IpAddress& destination, uint32_t sequence);
/// Asks the kernel to resolve `address` now, as a packet to it would (NTF_USE).
Bytes use_neighbor(int link, const config::IpAddress& address, uint32_t sequence);

/// Makes a route to one address that leads nowhere: it is there to be seen. EEXIST if there is one of this metric.
Bytes add_blackhole(const config::IpAddress& address, uint32_t table, uint8_t protocol, uint32_t metric,
                    uint32_t sequence);
/// Removes that very route, as a dump told of it.
Bytes delete_route(const Route& route, uint32_t sequence);

/// Gives an interface an address with nothing around it (/32, /128), used at once: without duplicate detection. Kernels
/// before Linux 5.18 do not keep the protocol. EEXIST if it has that one.
Bytes add_address(int link, const config::IpAddress& address, uint8_t protocol, uint32_t sequence);
/// Removes that very address, as a dump told of it.
Bytes delete_address(const InterfaceAddress& address, uint32_t sequence);

/// All that `bytes` says, in order; other kinds of messages and malformed ones are left out.
std::vector<Message> parse(std::span<const uint8_t> bytes);

/// Whether `address` lies in the prefix of `route`.
bool covers(const Route& route, const config::IpAddress& address);

}  // namespace sluice::control::netlink
