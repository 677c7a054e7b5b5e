// SPDX-License-Identifier: Apache-2.0
//
// Which worker a packet is for. A flow belongs to one worker, which follows from the client's endpoint
// (flow/owner_table.h): both directions know it. A fullnat flow's replies name an endpoint of ours instead, whose port
// tells the worker. Devices may know the same and put packets before their owner; nobody relies on it.
#pragma once

#include <array>
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
      : owners_({setup.workers, setup.classes}, flows.hash_seed()), state_(state) {
    for (uint32_t fold = 0; fold < 65536; fold++) {
      const uint32_t owner = owners_.of_class(owner_hash_of_fold(static_cast<uint16_t>(fold)));
      mine_[fold / 64] |= uint64_t{owner == setup.index} << fold % 64;
    }
  }

  /// Whether this worker owns the flows of a client: on every packet's way.
  [[gnu::always_inline]] bool is_mine(const Endpoint& client) const noexcept {
    const uint32_t fold = owner_fold_of(client);
    return (mine_[fold / 64] >> fold % 64 & 1) != 0;
  }
  /// The worker that does.
  uint32_t of_client(const Endpoint& client) const noexcept { return owners_.of(client); }
  /// Likewise of a backend's packet to `to`: a client, or fullnat's endpoint of ours.
  uint32_t of_reply(const Endpoint& to) const noexcept;
  /// Likewise of the flow that an ICMP error is about.
  uint32_t of_quoted(const IcmpError& error) const noexcept;
  /// Whether a reply to this endpoint is to us, and the port tells its worker.
  bool is_ours(const Endpoint& to) const noexcept;

 private:
  const OwnerTable owners_;
  std::array<uint64_t, 1024> mine_{};  // a bit for each fold: 8 KiB, and one load where owners_ takes three
  const ForwardingState& state_;
};

}  // namespace sluice
