// SPDX-License-Identifier: Apache-2.0
//
// ARP (RFC 826) and neighbour discovery (RFC 4861) of one link: every address that is asked for is ours, as clients and
// backends are made up and there is nobody else on the wire; and the tested box's own MAC address is asked for.
#pragma once

#include <rte_mbuf.h>

#include <optional>

#include "dataplane/contract/address.h"
#include "perf/blast/link.h"

namespace sluice::blast {

class Neighbours {
 public:
  explicit Neighbours(Link& link) : link_(link) {}

  /// Takes note of a frame that is no TCP segment: answers a question, keeps an answer. Does not free it.
  void on_frame(const rte_mbuf& mbuf);

  /// Sends a question; the answer is in `mac()` once it has come.
  void ask(const Address& address);
  const std::optional<MacAddress>& mac() const { return mac_; }

 private:
  void on_arp(const uint8_t* data);
  void on_icmpv6(const uint8_t* data);
  void send_icmpv6(uint8_t type, uint8_t flags, const Address& target, const MacAddress& to_mac,
                   const Address& to_address, const Address& from_address);

  Link& link_;
  Address asked_{};
  std::optional<MacAddress> mac_;
};

}  // namespace sluice::blast
