// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a TCP segment in every case that the fast path leaves alone: its flow is found or made, its state
// tracked, its headers translated for the other side. The fast path does nothing that is not done here too. Thread
// safety: none; one worker owns it.
#pragma once

#include "dataplane/worker/farewell.h"
#include "dataplane/worker/new_flows.h"
#include "dataplane/worker/smtp_watch.h"
#include "dataplane/worker/tcp_tracker.h"

namespace sluice {

/// The parts that a segment meets.
struct SlowPathParts {
  FlowFinder& finder;
  NewFlows& new_flows;
  FlowLifecycle& lifecycle;
  TcpTracker& tracker;
  SmtpWatch& watch;
  ProxyInjector& proxy;
  OneWay& one_way;
  Resets& resets;
  IcmpErrors& icmp_errors;
  SessionRecorder& records;
  ToldFlows& told;
  SynProxy& syn_proxy;
  ProvenClients& proven;
  Farewell& farewell;
};

class SlowPath {
 public:
  SlowPath(const Context& context, const SlowPathParts& parts) noexcept
      : setup_(context.setup),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        parts_(parts) {}

  /// The three steps of a packet, in this order. Finds the flow that it is of, beginning with its candidate; kNoFlow if
  /// there is none.
  void confirm_flow(Burst& burst, uint32_t i) noexcept;
  void place_if_new(Burst& burst, uint32_t i) noexcept { parts_.new_flows.place_if_new(burst, i); }
  void translate(Burst& burst, uint32_t i) noexcept {
    counters_.count(Counter::kSlowPath);
    if (burst.flow[i] == kNoFlow) return;  // dealt with when it was not placed
    const bool from_client = burst.from_client[i];
    if (from_client) {
      if (flows_[burst.flow[i]].state == TcpState::kSynSent && !follow_answer(burst, i)) [[unlikely]]
        return;
      translate_from_client(burst, i);
    } else {
      translate_from_backend(burst, i);
      if (burst.flow[i] == kNoFlow) [[unlikely]]
        return;
    }
    const FlowIndex over_limit = parts_.lifecycle.take_over_limit();
    if (over_limit != kNoFlow && (flows_[over_limit].flags & kFlowCut) == 0) [[unlikely]]
      parts_.lifecycle.cut(over_limit, Counter::kFlowsCutLimit);
    parts_.records.end_if_over(burst.flow[i],
                               from_client ? channel::SessionParty::kClient : channel::SessionParty::kServer);
  }

 private:
  void translate_from_client(Burst& burst, uint32_t i) noexcept;
  void translate_from_backend(Burst& burst, uint32_t i) noexcept;
  bool may_go_to_backend(Burst& burst, uint32_t i) noexcept;
  bool follow_answer(Burst& burst, uint32_t i) noexcept;

  // Flows whose clients' SYNs we have answered (syn_proxy.h).
  void meet_waiting_client(Burst& burst, uint32_t i) noexcept;
  void meet_answer(Burst& burst, uint32_t i) noexcept;
  void complete_splice(Burst& burst, uint32_t i) noexcept;

  // Flows for which more is to be done than NAT.
  void translate_special_from_client(Burst& burst, uint32_t i) noexcept;
  void translate_special_from_backend(Burst& burst, uint32_t i) noexcept;
  void forward_one_way(Burst& burst, uint32_t i) noexcept;
  void rewrite_to_backend(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept;
  void rewrite_to_client(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept;

  const WorkerSetup& setup_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  const SlowPathParts parts_;
};

}  // namespace sluice
