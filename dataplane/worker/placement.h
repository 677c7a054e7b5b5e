// SPDX-License-Identifier: Apache-2.0
//
// Which backend a new flow gets: the service's scheduler names an entry of its table, and from there on the first
// backend is taken that is usable, has room, and does not know this client's endpoint from another flow. Thread safety:
// none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/trace.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/flow_lifecycle.h"
#include "dataplane/worker/random.h"

namespace sluice {

class Placement {
 public:
  Placement(const Context& context, FlowLifecycle& lifecycle, Random& random) noexcept
      : counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        lifecycle_(lifecycle),
        random_(random) {}

  /// `place`: of the client. `opening`: else there may have been an earlier choice, here or elsewhere, and the hash
  /// decides alone. kNoBackend if there is none; `refusal` then says why, and otherwise what stood in the way of
  /// another, if anything did: not `opening`, kDropBackendDown if all that may be its own are known to be down. It is
  /// not `avoid`.
  channel::BackendId choose(channel::ServiceId service, const Packet& packet, FlowPlace place, bool opening,
                            Counter& refusal, channel::BackendId avoid = channel::kNoBackend) noexcept;

  /// By what rule the last choice was made.
  channel::PlacedBy rule() const noexcept { return rule_; }

  /// Whether a flow that was placed before may go on with this backend. One that cannot be reached for a moment is
  /// waited for, as by any flow: another would reset the session.
  bool may_keep(channel::ServiceId service, const Packet& packet, FlowPlace place, channel::BackendId id) noexcept {
    const Service& of = state_.service(service);
    const bool nat = of.forwarding == channel::Forwarding::kNat;
    return is_alive(id, of) && !(nat && collides(place, packet, state_.backend(id)));
  }

  /// Whether the hash, as things stand, leads a flow's packets to the backend that it has, entry or not.
  bool is_where_hash_leads(const Flow& flow) const noexcept;

  /// How a flow came to the backend that it has, its first packet being `packet`. For traces.
  channel::PlacedBy explain(const Flow& flow, const Packet& packet) const noexcept;

 private:
  /// Whether a session's own server may be well, though none of the table is.
  bool may_be_served(channel::ServiceId service) noexcept;
  static channel::PlacedBy rule_of(const Service& service, bool opening, uint32_t probe) noexcept;
  /// Whether nothing is known of it that cuts sessions of the service.
  bool is_alive(channel::BackendId id, const Service& service) const noexcept;
  /// Whether it can take a new one.
  bool is_usable(channel::BackendId id) const noexcept;
  uint32_t first_entry(channel::ServiceId service, TableId table, const Packet& packet, bool opening) noexcept;
  uint32_t less_loaded_of_two(const BackendTable& table) noexcept;
  static bool admits(const Backend& backend, const Service* bounded, uint64_t service_flows) noexcept;
  bool collides(FlowPlace place, const Packet& packet, const Backend& candidate) noexcept;

  Counters& counters_;
  FlowTable& flows_;
  ForwardingState& state_;
  FlowLifecycle& lifecycle_;
  Random& random_;
  channel::PlacedBy rule_ = channel::PlacedBy::kTable;
  std::array<uint32_t, kTables> turn_of_{};  // wrr: entry of the last flow
  struct Served {
    uint32_t changes = 0;  // ForwardingState::changes(), when it was looked at
    bool maybe = false;
  };
  std::array<Served, channel::kMaxServices> served_{};
};

}  // namespace sluice
