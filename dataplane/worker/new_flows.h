// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a packet that has no flow: it gets one, with a SYN or, up to a quota, in mid-stream (adoption); or it
// is forwarded without (stateless_forwarding.h), refused, or, if no service is meant, punted. Thread safety: none; one
// worker owns it.
#pragma once

#include <array>

#include "dataplane/flow/return_paths.h"
#include "dataplane/worker/answer_passing.h"
#include "dataplane/worker/flow_finder.h"
#include "dataplane/worker/flow_maker.h"
#include "dataplane/worker/handover.h"
#include "dataplane/worker/held_replies.h"
#include "dataplane/worker/proven_clients.h"
#include "dataplane/worker/punt.h"
#include "dataplane/worker/responder.h"
#include "dataplane/worker/stateless_forwarding.h"
#include "dataplane/worker/table_room.h"
#include "dataplane/worker/told_flows.h"

namespace sluice {

/// The parts that a new flow needs.
struct NewFlowParts {
  FlowFinder& finder;
  FlowLifecycle& lifecycle;
  TableRoom& room;
  Placement& placement;
  FlowMaker& maker;
  ProxyInjector& proxy;
  StatelessForwarding& stateless;
  Resets& resets;
  Responder& responder;
  Punt& punt;
  SessionRecorder& records;
  ToldFlows& told;
  Handover& handover;
  HeldReplies& held;
  AnswerPassing& passing;
  SourceLimits& limits;
  SynProxy& syn_proxy;
  ProvenClients& proven;
};

class NewFlows {
 public:
  NewFlows(const Context& context, const NewFlowParts& parts) noexcept
      : setup_(context.setup),
        clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        parts_(parts),
        strangers_(context.setup.hash_seed),
        adopt_credited_ms_(context.clock.now_ms()) {}

  /// Gives a packet a flow if it has none, or begins another. If it then still has none, it has been dealt with.
  void place_if_new(Burst& burst, uint32_t i) noexcept {
    if (burst.flow[i] == kNoFlow || (burst.from_client[i] && is_opening(burst.packet[i]))) place(burst, i);
  }
  /// A backend's SYN of a flow. Where the client uses its port again, and another node has asked the backend in its
  /// place, it is of another connection: the backend knows of no earlier one any more, or it would not answer so. The
  /// flow gives way, and the answer goes there; or it waits, if that node may be about to say so. Returns whether that
  /// was so; the packet has no flow then, and has been seen to.
  bool meet_next_session(Burst& burst, uint32_t i) noexcept;

 private:
  static constexpr uint64_t kAdoptPerSecond = 20'000;
  static constexpr uint64_t kAdoptBurst = 20'000;

  void place(Burst& burst, uint32_t i) noexcept;
  bool is_blocked(Burst& burst, uint32_t i) noexcept {
    if (!state_.sources().has_blocked()) return false;
    if (!burst.source_asked.has(i)) ask_of_sources(burst, i);
    return burst.source_blocked.has(i);
  }
  void ask_of_sources(Burst& burst, uint32_t i) noexcept;
  void pass_stranger(Burst& burst, uint32_t i) noexcept;
  bool is_from_backend(const Burst& burst, uint32_t i) const noexcept;
  bool meet_reply(Burst& burst, uint32_t i) noexcept;
  void meet_awaited_elsewhere(Burst& burst, uint32_t i) noexcept;
  bool may_be_reply(channel::BackendId id, const Packet& packet) const noexcept;
  void adopt_from_backend(Burst& burst, uint32_t i, const Resumption& as, bool told) noexcept;
  void place_one(Burst& burst, uint32_t i, channel::ServiceId service) noexcept;
  channel::BackendId recall(const Burst& burst, uint32_t i, channel::ServiceId service) noexcept;
  void revive(Flow& flow) noexcept;
  void resume(FlowIndex index, const Resumption& told) noexcept;
  bool may_adopt(Burst& burst, uint32_t i, channel::ServiceId service) noexcept;
  bool take_adoption() noexcept;
  void tell_of_router(const Burst& burst, uint32_t i) noexcept;
  void refuse(Burst& burst, uint32_t i, channel::ServiceId service, Counter reason) noexcept;
  void refuse_over_limit(Burst& burst, uint32_t i, channel::ServiceId service, channel::LimitAction action) noexcept;
  void go_on_in_full_table(Burst& burst, uint32_t i, channel::ServiceId service) noexcept;
  void meet_full_table(Burst& burst, uint32_t i, channel::ServiceId service) noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  ForwardingState& state_;
  Egress& egress_;
  const NewFlowParts parts_;
  ReturnPaths strangers_;                     // who speaks with backends past the services: only the keys count
  std::array<uint64_t, 2> router_told_ms_{};  // by family
  uint64_t adopt_tokens_ = kAdoptBurst;
  uint64_t adopt_credited_ms_;
};

}  // namespace sluice
