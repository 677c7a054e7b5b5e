// SPDX-License-Identifier: Apache-2.0
//
// A worker: one polling lcore with its flow table, which shares nothing with other workers. It is a loop, poll(), over
// parts. Each part is a class with its own state, and is given references to what it needs, so that its header says
// what it may touch.
//
// The way of a packet. A poll iteration is a sequence of stages over a burst (DESIGN.md section 4):
//
//   take commands -> receive -> parse -> look up and translate -> exception path -> resend, expire -> transmit
//
// 1. command_channel.h takes control's commands and applies them to forwarding_state.h: services, backends, tables.
// 2. ingress.cc receives from devices and from other workers (handover.h) and parses. A segment of a flow that another
//    worker owns (ownership.h) is handed over; one of our own enters the burst (burst.h). Frames that are no whole TCP
//    segments wait for exception_path.h. While the worker is behind, some SYNs go no further (syn_shedder.h).
// 3. fast_path.cc takes the burst's packets in order. Most are segments in mid-connection of an established flow, and
//    are translated and queued right there, while the flow of one a little behind comes from memory: fetched all at
//    once, flows would be more than a core can have under way.
// 4. slow_path.h takes each other packet: flow_finder.h looks again, new_flows.h places a flow (placement.h names its
//    backend, fullnat_ports.h our endpoint, proxy_injector.h its PROXY header; table_room.h and
//    stateless_forwarding.h help when the table is full), tcp_tracker.h moves its state, and one_way.h sends where the
//    way back is not seen. What begins, ends or moves a flow goes through flow_lifecycle.h, which also counts it;
//    session_recorder.h writes what remains of it;
//    resets.h, responder.h and icmp_errors.h answer; farewell.h ends sessions of backends that leave.
// 5. exception_path.h sends ICMP errors (icmp_relay.h) and fragments (fragment_relay.h) after their flow; the rest is
//    punted to the kernel (punt.h) or dropped.
// 6. flow_expiry.h visits some flows whose time may be up, router_moves.h those whose router has moved. egress.h
// transmits what is queued, for each port.
//
// While there are inspections, inspector.h looks on: inspected.cc is steps 3 to 5 for that case.
//
// Memory is taken at start; a poll iteration allocates nothing, takes no lock, makes no system call (but for sleeping,
// in idle mode kSleep, and what the device's driver does) and throws nothing.
#pragma once

#include <cstdint>

#include "dataplane/worker/command_channel.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/exception_path.h"
#include "dataplane/worker/fast_path.h"
#include "dataplane/worker/inspector.h"
#include "dataplane/worker/ownership.h"
#include "dataplane/worker/router_moves.h"
#include "dataplane/worker/rss_check.h"
#include "dataplane/worker/setup.h"
#include "dataplane/worker/slow_path.h"
#include "dataplane/worker/stage_timer.h"
#include "dataplane/worker/syn_shedder.h"

namespace sluice {

class Worker {
 public:
  /// `now_ms`: CLOCK_MONOTONIC.
  Worker(const WorkerSetup& setup, uint64_t hash_seed, uint64_t boot_id, uint64_t now_ms) noexcept;

  /// One poll iteration at time `now_ms`. Returns whether there was anything to do.
  bool poll(uint64_t now_ms) noexcept;

  const FlowTable& flows() const noexcept { return flows_; }
  const SmtpObserver& observer() const noexcept { return observer_; }
  ForwardingState& state() noexcept { return state_; }

 private:
  /// So many packets before it is translated, a packet's flow is fetched from memory. At some 35 cycles a packet that
  /// is time enough; and fetched faster than one in 15 cycles, they are more than a core can have under way: what is
  /// too much it forgets.
  static constexpr uint32_t kLookAhead = 24;

  // ingress.cc: what fills the burst.
  /// How frames arrive: what a burst of them has in common.
  Arrival arrival(uint32_t port, bool mine, uint32_t asker, bool steered = false) const noexcept {
    return {port, setup_.port[port].faces, egress_.mac_word(port), mine, steered, asker};
  }
  bool receive(uint32_t port) noexcept;
  bool receive_handed() noexcept;
  bool take_up_held() noexcept;
  bool take_passed() noexcept;
  void parse(uint32_t port, uint32_t received, bool steered) noexcept;
  /// Parses one frame and enters it into the burst at place `kept`, unless it is dealt with at once, waits for the
  /// exception path, or is handed over. Returns the next place. Not `kMayShed`: a SYN that has come again, and passes.
  template <bool kMayShed = true>
  uint32_t enter(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept;
  uint32_t enter_slow(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept;
  uint32_t enter_repeated(uint32_t kept, rte_mbuf* mbuf) noexcept;
  /// Drops the SYNs that wait for it, or enters them. Returns the next place.
  uint32_t settle_syns(uint32_t kept) noexcept;
  /// What `received` frames of one burst have become from place `kept` on, where all are from clients, or all from
  /// backends. `kAlone`: there is no other worker.
  template <bool kFromClient, bool kAlone>
  uint32_t enter_all(uint32_t kept, Arrival how, rte_mbuf* const* mbufs, uint32_t received) noexcept;
  /// Hands a segment of `client` to the worker that owns its flow.
  void hand_to_owner(const Arrival& how, rte_mbuf* mbuf, const Endpoint& client) noexcept;
  void hold_against(Arrival how, const rte_mbuf& mbuf, const Endpoint& client, bool is_mine) noexcept;
  /// For a frame that is no TCP segment; true if it goes on as one.
  bool meet_exception(Arrival how, rte_mbuf* mbuf, const Packet& packet, ParseVerdict verdict) noexcept;
  bool may_be_shed(const Packet& packet, const Endpoint& destination) noexcept;
  bool hand_over_quoted(uint32_t port, rte_mbuf* mbuf, const Packet& packet) noexcept;
  bool is_burst_full() const noexcept { return burst_.count + exceptions_.waiting() > Burst::kSize - kMaxBurst; }

  // fast_path.cc: what empties it.
  void process() noexcept;
  void look_up_and_translate() noexcept;
  void look_up_flow(uint32_t i) noexcept {
    const FlowIndex candidate = flows_.first_candidate(burst_.place[i]);
    burst_.flow[i] = candidate;
    if (candidate != kNoFlow) {
      flows_.prefetch_flow(candidate);
    } else if (flows_.has_second_bucket(burst_.place[i])) {
      flows_.prefetch_second_bucket(burst_.place[i]);
    }
  }
  void look_up_flow_again(uint32_t i) noexcept {
    if (burst_.flow[i] != kNoFlow || !flows_.has_second_bucket(burst_.place[i])) return;
    burst_.flow[i] = flows_.second_candidate(burst_.place[i]);
    if (burst_.flow[i] != kNoFlow) flows_.prefetch_flow(burst_.flow[i]);
  }
  /// Whether packet `i`, of which family is known, went all the way.
  template <bool kV6>
  bool fast_path(uint32_t i) noexcept;
  template <bool kV6>
  bool other_fast_path(uint32_t i) noexcept;
  template <FastWay kWay, bool kV6>
  bool fast_path_from_client(uint32_t i) noexcept;
  template <FastWay kWay, bool kV6>
  bool fast_path_from_backend(uint32_t i) noexcept;
  void slow_path(uint32_t i) noexcept;
  /// Of a segment in mid-connection; `expected`: the number that its sender was to use next.
  void note_if_sent_again(uint32_t i, bool from_client, uint32_t expected) noexcept {
    const Flow& flow = flows_[burst_.flow[i]];
    const bool is_first = (from_client ? flow.packets_up : flow.packets_down) == 0;
    if (!is_first && is_sent_again(burst_.packet[i], expected)) [[unlikely]]
      flows_.notes()[burst_.flow[i]].count_sent_again(from_client);
  }

  // inspected.cc: the same while there are inspections.
  void process_inspected() noexcept;
  void inspect(uint32_t i, uint8_t inspections) noexcept;
  void inspect_exception(ExceptionFrame& frame) noexcept;
  void punt_or_drop(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept;
  void drop_at_once(uint32_t port, rte_mbuf* mbuf, Counter reason) noexcept;

  // What the parts share.
  const WorkerSetup setup_;
  Counters counters_;
  PollClock clock_;
  FlowTable flows_;
  ForwardingState state_;
  SmtpObserver observer_;
  Handover handover_;
  Egress egress_;
  StageTimer timer_;
  Burst burst_;
  Random random_;

  // The parts, each built from those before it.
  const Context context_{setup_, clock_, counters_, flows_, state_, egress_};
  SynShedder shedder_{context_};
  SmtpWatch watch_{context_, observer_};
  FlowFinder finder_{flows_, state_};
  Ownership ownership_{setup_, flows_, state_};
  RssCheck rss_check_{setup_, counters_};
  Punt punt_{context_};
  OneWay one_way_{context_};
  Resets resets_{context_, one_way_};
  KnownClients known_clients_{setup_.hash_seed};
  AnsweredSyns answered_{context_, known_clients_};
  Responder responder_{context_, answered_};
  IcmpErrors icmp_errors_{context_};
  ProxyInjector proxy_{context_};
  SynProxy syn_proxy_{context_, answered_};
  SessionRecorder records_{context_};
  SourceLimits limits_{context_};
  FlowLifecycle lifecycle_{context_, observer_, proxy_, resets_, records_, limits_, known_clients_};
  TcpTracker tracker_{context_, lifecycle_};
  Farewell farewell_{context_, observer_, lifecycle_, responder_};
  FlowExpiry expiry_{context_, observer_, resets_, lifecycle_, farewell_};
  Placement placement_{context_, lifecycle_, random_};
  TableRoom room_{context_, lifecycle_, expiry_, placement_, random_};
  FullnatPorts fullnat_ports_{context_, lifecycle_, resets_, random_};
  StatelessForwarding stateless_;
  ToldFlows told_{context_, finder_, ownership_, lifecycle_, placement_};
  HeldReplies held_{context_};
  AnswerPassing passing_{context_};
  FlowMaker maker_{context_, room_, fullnat_ports_, finder_};
  ProvenClients proven_{context_, {maker_, lifecycle_, placement_, proxy_, resets_, responder_, records_, syn_proxy_}};
  NewFlows new_flows_{context_,
                      {finder_, lifecycle_, room_, placement_, maker_, proxy_, stateless_, resets_, responder_, punt_,
                       records_, told_, handover_, held_, passing_, limits_, syn_proxy_, proven_}};
  SlowPath slow_path_{context_,
                      {finder_, new_flows_, lifecycle_, tracker_, watch_, proxy_, one_way_, resets_, icmp_errors_,
                       records_, told_, syn_proxy_, proven_, farewell_}};
  IcmpRelay icmp_relay_{context_, handover_, finder_, one_way_, icmp_errors_, punt_, placement_, told_, ownership_};
  FragmentRelay fragment_relay_;
  ExceptionPath exceptions_{egress_, punt_, icmp_relay_, fragment_relay_};
  Inspector inspector_{context_, placement_};
  RouterMoves router_moves_{context_};
  CommandChannel commands_{setup_, clock_, counters_, state_, inspector_, router_moves_, observer_, records_};
};

}  // namespace sluice
