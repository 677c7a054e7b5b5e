// SPDX-License-Identifier: Apache-2.0
//
// Connections without a flow entry: what happens when the table is full. Every packet of a client is placed by the hash
// that would have placed its connection, so all of them reach one backend as long as tables and backends stay as they
// are; the schedulers that choose by load or in turn have no say. A backend's replies name no service, so this is only
// done for backends that a single service forwards to; where replies are not seen (dsr, tunnels), for all. Nothing is
// observed, timed or counted as a flow. As soon as there is room again, the connection's next packet is adopted, by the
// same hash.
#pragma once

#include "dataplane/flow/return_paths.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/icmp_errors.h"
#include "dataplane/worker/one_way.h"
#include "dataplane/worker/placement.h"

namespace sluice {

class StatelessForwarding {
 public:
  StatelessForwarding(const Context& context, Placement& placement, IcmpErrors& icmp_errors, OneWay& one_way,
                      uint64_t hash_seed) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        state_(context.state),
        egress_(context.egress),
        placement_(placement),
        icmp_errors_(icmp_errors),
        one_way_(one_way),
        return_paths_(hash_seed) {}

  /// False if it cannot be: nothing has been done to the packet then. `known`: where its session is, if that is known.
  bool to_backend(Burst& burst, uint32_t i, channel::ServiceId service,
                  channel::BackendId known = channel::kNoBackend) noexcept;
  bool to_client(Burst& burst, uint32_t i) noexcept;

 private:
  bool is_possible(channel::ServiceId service, const Backend& backend) const noexcept;
  /// Whether a packet can go on through `port`, with `overhead` bytes before it; if not, it has been dealt with.
  bool may_go(Burst& burst, uint32_t i, const Service& service, uint32_t port, uint32_t overhead = 0) noexcept;
  void one_way_to_backend(Burst& burst, uint32_t i, channel::ServiceId service, channel::BackendId backend) noexcept;

  const PollClock& clock_;
  Counters& counters_;
  const ForwardingState& state_;
  Egress& egress_;
  Placement& placement_;
  IcmpErrors& icmp_errors_;
  OneWay& one_way_;
  ReturnPaths return_paths_;
};

}  // namespace sluice
