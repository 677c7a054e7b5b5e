// SPDX-License-Identifier: Apache-2.0
//
// Which worker a packet is for. A flow belongs to one worker, which follows from the client's endpoint
// (flow/owner_table.h): both directions know it. A fullnat flow's replies name an endpoint of ours instead, whose port
// tells the worker. Devices may know the same and put packets before their owner; nobody relies on it.
#pragma once

#include <cstdint>

#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/owner_table.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/worker/forwarding_state.h"
#include "dataplane/worker/setup.h"

namespace sluice {

class Ownership {
 public:
  Ownership(const WorkerSetup& setup, const FlowTable& flows, const ForwardingState& state) noexcept
      : owners_({setup.workers, setup.classes}, flows.hash_seed()), state_(state) {}

  /// The worker that owns the flows of a client.
  [[gnu::always_inline]] uint32_t of_client(const Endpoint& client) const noexcept { return owners_.of(client); }
  /// Likewise of a backend's packet to `to`: a client, or fullnat's endpoint of ours.
  uint32_t of_reply(const Endpoint& to) const noexcept;
  /// Likewise of the flow that an ICMP error is about.
  uint32_t of_quoted(const IcmpError& error) const noexcept;
  /// Whether a reply to this endpoint is to us, and the port tells its worker.
  bool is_ours(const Endpoint& to) const noexcept;

 private:
  const OwnerTable owners_;
  const ForwardingState& state_;
};

}  // namespace sluice
