// SPDX-License-Identifier: Apache-2.0
//
// The way to backends whose replies are not seen: the client's packet goes to the backend's station as it is (dsr), or
// inside a tunnel from an address of ours (ipip, gue).
#pragma once

#include "dataplane/packet/packet.h"
#include "dataplane/worker/context.h"

namespace sluice {

class OneWay {
 public:
  explicit OneWay(const Context& context) noexcept
      : flows_(context.flows), state_(context.state), egress_(context.egress) {}

  /// Puts the flow's tunnel, if it has one, around the packet at `packet.l3_offset`. False if we have no address
  /// towards the backend, or there is no room before it.
  bool wrap(rte_mbuf& mbuf, Packet& packet, const Flow& flow) noexcept;
  /// Takes one hop off, wraps and sends, or drops.
  void send(rte_mbuf* mbuf, Packet& packet, const Flow& flow) noexcept;

 private:
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
};

}  // namespace sluice
