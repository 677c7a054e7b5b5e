// SPDX-License-Identifier: Apache-2.0
//
// Which worker a packet is for. A flow belongs to one worker, which follows from a hash of the client endpoint: both
// directions know it. A fullnat flow's replies name an endpoint of ours instead, whose port tells the worker.
#pragma once

#include <cstdint>

#include "dataplane/flow/flow_table.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/worker/forwarding_state.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// The worker that owns the flows of clients with this hash. The bits are none of those that the index uses.
constexpr uint32_t owner_of(uint64_t client_hash, uint32_t workers) {
  return static_cast<uint32_t>(((client_hash >> 32 & 0xffff) * workers) >> 16);
}

class Ownership {
 public:
  Ownership(const WorkerSetup& setup, const FlowTable& flows, const ForwardingState& state) noexcept
      : setup_(setup), flows_(flows), state_(state) {}

  /// The worker that owns the flows of a client; under RSS, of one whose packet a device has put before this worker.
  uint32_t of_client(uint64_t client_hash) const noexcept {
    return setup_.spread == Spread::kHandover ? owner_of(client_hash, setup_.workers) : setup_.index;
  }
  /// Likewise of a backend's packet to `to`, whose hash is `hash`: a client, or fullnat's endpoint of ours.
  uint32_t of_reply(const Endpoint& to, uint64_t hash) const noexcept;
  /// Likewise of the flow that an ICMP error is about.
  uint32_t of_quoted(const IcmpError& error) const noexcept;

 private:
  const WorkerSetup& setup_;
  const FlowTable& flows_;
  const ForwardingState& state_;
};

}  // namespace sluice
