// SPDX-License-Identifier: Apache-2.0
//
// A worker: one polling lcore with its flow table. It shares nothing with other workers. Each turn of its loop
// is a sequence of stages over a burst (DESIGN.md section 4):
//
//   poll_control -> receive -> parse -> look_up_flows -> place_new_flows -> translate -> transmit -> expire_some
//
// The three in the middle go hand in hand: while a packet is translated, the flow of one a little behind it comes from
// memory. Fetched all at once, flows would be more than a core can have under way (look_up_and_translate()).
//
// Memory is taken at start; a turn allocates nothing, takes no lock, makes no system call (but for sleeping, in
// idle mode kSleep, and what the device's driver does) and throws nothing.
#pragma once

#include <rte_ethdev.h>

#include <array>
#include <cstdint>

#include "dataplane/contract/trace.h"
#include "dataplane/flow_table.h"
#include "dataplane/forwarding_state.h"
#include "dataplane/fragments.h"
#include "dataplane/handover.h"
#include "dataplane/icmp.h"
#include "dataplane/packet.h"
#include "dataplane/proxy_pending.h"
#include "dataplane/reset.h"
#include "dataplane/return_paths.h"
#include "dataplane/smtp_observer.h"
#include "dataplane/taps.h"
#include "dataplane/token_bucket.h"
#include "dataplane/worker_setup.h"

namespace sluice {

/// Frames waiting to be sent through one port.
struct OutQueue {
  static constexpr uint32_t kSize = 2 * kMaxBurst;

  uint32_t count = 0;
  std::array<uint64_t, kSize / 64> made{};  // bit i: mbufs[i] was made here, not received
  std::array<rte_mbuf*, kSize> mbufs;
};

/// So many packets before it is translated, a packet's flow is fetched from memory. At some 35 cycles a packet that is
/// time enough; and fetched faster than one in 15 cycles, they are more than a core can have under way: what is too
/// much it forgets.
inline constexpr uint32_t kLookAhead = 24;

/// The packets that the stages work on, of all ports together, so that more memory accesses are under way at once:
/// parallel arrays, of which the first `count` are in use.
struct Burst {
  static constexpr uint32_t kSize = 2 * kMaxBurst;

  uint32_t count = 0;
  uint32_t looked_up = 0;  // so many have been looked up while others were still taken apart
  std::array<rte_mbuf*, kSize> mbuf;
  std::array<Packet, kSize> packet;
  std::array<FlowPlace, kSize> place;
  std::array<FlowIndex, kSize> flow;
  std::array<uint8_t, kSize> port;  // through which it came
  std::array<bool, kSize> from_client;
};

/// A frame that waits until the burst it came with is dealt with.
struct Aside {
  Packet packet;
  rte_mbuf* mbuf;
  uint8_t port;
  ParseVerdict verdict;  // kIcmp or kFragment
  uint8_t asker;         // the worker that asked first whose it is
};

/// Our endpoint towards a backend: an address' index and a port; port 0: none.
struct LocalPort {
  uint8_t index = 0;
  Be16 port;
};

class Worker {
 public:
  /// `now_ms`: CLOCK_MONOTONIC.
  Worker(const WorkerSetup& setup, uint64_t hash_seed, uint64_t boot_id, uint64_t now_ms) noexcept;

  /// One turn at time `now_ms`. Returns whether there was anything to do.
  bool turn(uint64_t now_ms) noexcept;

  const FlowTable& flows() const noexcept { return flows_; }
  const SmtpObserver& observer() const noexcept { return observer_; }
  ForwardingState& state() noexcept { return state_; }

 private:
  using Counter = channel::Counter;

  void count(Counter counter, uint64_t n = 1) noexcept { setup_.stats->counters[static_cast<size_t>(counter)] += n; }
  void set_gauge(Counter counter, uint64_t n) noexcept { setup_.stats->counters[static_cast<size_t>(counter)] = n; }

  // worker.cc: the stages.
  bool poll_control() noexcept;
  void reject(const channel::Command& command, channel::RejectReason reason) noexcept;
  bool receive(uint32_t port) noexcept;
  void parse(uint32_t port, uint32_t received) noexcept;
  /// How frames arrive: what a burst of them has in common.
  struct Arrival {
    uint32_t port;
    Faces faces;
    uint64_t mac_word;
    bool mine;       // no other worker is to be considered
    uint32_t asker;  // the worker that met it first
  };
  Arrival arrival(uint32_t port, bool mine, uint32_t asker) const noexcept {
    return {port, setup_.port[port].faces, mac_word_[port], mine, asker};
  }
  /// Takes one frame apart and enters it into the burst at place `kept`, unless it is dealt with at once, put aside or
  /// handed over. Returns the next place.
  uint32_t enter(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept;
  uint32_t enter_unusual(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept;
  /// What `received` frames of one burst have become from place `kept` on, where all are from clients, or all from
  /// backends, and ours.
  template <bool kFromClient>
  uint32_t enter_all(uint32_t kept, Arrival how, rte_mbuf* const* mbufs, uint32_t received) noexcept;
  void process() noexcept;
  void end_stage(Counter stage) noexcept;
  /// Counts what the stages of a sampled turn took, if it found something to do.
  void count_stages(bool busy) noexcept;
  static constexpr uint32_t stage_index(Counter stage) noexcept {
    return static_cast<uint32_t>(stage) - static_cast<uint32_t>(Counter::kStagePollControl);
  }
  /// Three stages as one, as each packet's flow comes from memory while the packets before it are translated.
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
  /// Finds the flow that a packet is of, beginning with its candidate; kNoFlow if there is none.
  void confirm_flow(uint32_t i) noexcept;
  void translate_unusual(uint32_t i) noexcept;
  bool pass_usual_from_client(uint32_t i) noexcept;
  bool pass_usual_from_backend(uint32_t i) noexcept;
  void translate_one(uint32_t i) noexcept {
    if (burst_.flow[i] == kNoFlow) return;  // dealt with when it was not placed
    if (burst_.from_client[i]) {
      translate_from_client(i);
    } else {
      translate_from_backend(i);
    }
  }
  bool send_for_main() noexcept;
  void transmit(uint32_t port) noexcept;

  // worker.cc: what happens to one packet.
  FlowIndex find_from_client(FlowPlace place, const Packet& packet) const noexcept;
  FlowIndex find_from_backend(FlowPlace place, const Packet& packet) const noexcept;
  bool is_from_client(const Flow& flow, const Packet& packet) const noexcept {
    return flow.is_of(packet.source) && state_.service(flow.service).vip == packet.destination;
  }
  bool is_from_backend(const Flow& flow, const Packet& packet) const noexcept {
    return flow.is_of(packet.destination) && flow.forwarding() == channel::Forwarding::kNat &&
           state_.backend(flow.backend).endpoint == packet.source;
  }
  bool may_go_to_backend(uint32_t i) noexcept;
  void track_client(Flow& flow, const Packet& packet) noexcept;
  void track_backend(Flow& flow, const Packet& packet) noexcept;
  void learn_return_path(Flow& flow, uint32_t i) noexcept;
  /// Shows a tracked packet that matters to the observer. `expected`: the sequence number its sender was to use next
  /// before it.
  [[gnu::noinline]] void watch_client(uint32_t i, uint32_t expected) noexcept {
    Flow& flow = flows_[burst_.flow[i]];
    observer_.from_client(burst_.flow[i], flow, state_.service(flow.service),
                          observed_segment(*burst_.mbuf[i], burst_.packet[i], expected), now_ms_);
  }
  [[gnu::noinline]] void watch_backend(uint32_t i, uint32_t expected) noexcept {
    Flow& flow = flows_[burst_.flow[i]];
    observer_.from_backend(burst_.flow[i], flow, state_.service(flow.service),
                           observed_segment(*burst_.mbuf[i], burst_.packet[i], expected), now_ms_);
  }
  void translate_from_client(uint32_t i) noexcept;
  void translate_from_backend(uint32_t i) noexcept;
  void send(uint32_t port, rte_mbuf* mbuf) noexcept {
    OutQueue& queue = out_[port];
    queue.mbufs[queue.count++] = mbuf;
    if (queue.count == OutQueue::kSize) [[unlikely]]
      transmit(port);
  }
  void send_made(uint32_t port, rte_mbuf* mbuf) noexcept;
  void punt(uint32_t port, rte_mbuf* mbuf) noexcept;
  void drop(rte_mbuf* mbuf, Counter reason) noexcept;
  void answer_with_reset(uint32_t i, Counter reason) noexcept;

  // worker_modes.cc: forwarding other than nat.
  static bool sees_both_ways(const Flow& flow) noexcept { return flow.forwarding() <= channel::Forwarding::kFullnat; }
  static bool is_tunnelled(const Flow& flow) noexcept { return flow.forwarding() >= channel::Forwarding::kIpip; }
  bool is_from_backend_to_local(const Flow& flow, const Packet& packet) const noexcept {
    return flow.forwarding() == channel::Forwarding::kFullnat && flow.local_port == packet.destination.port &&
           state_.local(flow.local_index()).address == packet.destination.address &&
           state_.backend(flow.backend).endpoint == packet.source;
  }
  FlowPlace place_of_reply(const Packet& packet) const noexcept;
  FlowIndex find_reply_flow(const Packet& packet) const noexcept;
  Endpoint client_at_backend(const Flow& flow) const noexcept;
  Endpoint service_at_backend(const Flow& flow) const noexcept;
  /// Makes a flow, all of whose other fields are filled in, one of `forwarding`. False, and it is gone, if the table
  /// has no room for its second place.
  bool prepare_mode(FlowIndex index, channel::Forwarding forwarding, LocalPort local) noexcept;
  LocalPort take_local_port(const Backend& backend) noexcept;
  bool may_reuse(const Flow& flow) const noexcept;
  void translate_to_backend(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept;
  void translate_to_client(rte_mbuf& mbuf, const Packet& packet, const Flow& flow) noexcept;
  void forward_one_way(uint32_t i) noexcept;
  void track_lone_client(Flow& flow, const Packet& packet) noexcept;
  uint32_t overhead_to(const Flow& flow) const noexcept;
  bool wrap(rte_mbuf& mbuf, Packet& packet, const Flow& flow) noexcept;
  void send_one_way(rte_mbuf* mbuf, Packet& packet, const Flow& flow) noexcept;
  void send_reset_through_tunnel(const Flow& flow, MadeSegment reset) noexcept;

  // worker_tap.cc: packets that taps want. They take the same way, one at a time, and what they cause is noted by
  // the counters that move and the frames that are queued.
  struct TapNotes;
  std::optional<channel::RejectReason> apply(const channel::Command& command) noexcept;
  void process_tapped() noexcept;
  uint8_t taps_for(uint32_t i) noexcept;
  uint8_t taps_for_aside(const Aside& aside) noexcept;
  uint8_t taps_between(const Endpoint& one, const Endpoint& other) noexcept;
  void dispose_tapped(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept;
  void step(uint32_t i, uint8_t taps) noexcept;
  void begin_notes(TapNotes& notes, uint8_t taps, uint32_t port, const rte_mbuf& mbuf) noexcept;
  void note_flow(TapNotes& notes, uint32_t i, bool was_known, uint64_t created_before) noexcept;
  channel::PlacedBy placed_by(uint32_t i) const noexcept;
  void note_frame(TapNotes& notes, channel::TraceStage stage, uint32_t port, const rte_mbuf& mbuf) noexcept;
  void note_sent(TapNotes& notes) noexcept;
  void end_notes(TapNotes& notes, uint8_t taps) noexcept;
  rte_mbuf* copy_for_capture(const TapNotes& notes, uint32_t port, const rte_mbuf& mbuf, uint32_t header_bytes,
                             bool in) noexcept;

  // worker_proxy.cc: flows for which more is to be done than NAT; PROXY headers.
  void translate_special_from_client(uint32_t i) noexcept;
  void translate_special_from_backend(uint32_t i) noexcept;
  void prepare_proxy(Flow& flow, bool opening) noexcept;
  bool start_proxy(FlowIndex index, const rte_mbuf& mbuf, const Packet& packet) noexcept;
  void send_proxy_header(uint32_t entry) noexcept;
  void confirm_proxy(Flow& flow, uint32_t raw_ack) noexcept;
  void abandon_proxy(Flow& flow) noexcept;
  void resend_proxy_headers() noexcept;

  // worker_aside.cc: frames that are not whole TCP segments.
  /// Sees to a frame that is not kTcp, unless it returns true: then it goes on as a segment.
  bool put_aside(uint32_t port, rte_mbuf* mbuf, const Packet& packet, ParseVerdict verdict, bool mine,
                 uint32_t asker) noexcept;
  /// Of no further use here: what is `kOther` goes to the kernel, the rest is dropped.
  void dispose(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept;
  void deal_with_asides() noexcept;
  void deal_with_aside(Aside& aside) noexcept;
  void pass_icmp(Aside& aside) noexcept;
  void pass_icmp_to_backend(Aside& aside, const IcmpError& error) noexcept;
  void pass_icmp_to_client(Aside& aside, const IcmpError& error) noexcept;
  void pass_fragment(Aside& aside) noexcept;
  void pass_fragment_to_backend(Aside& aside, const Flow& flow) noexcept;
  void pass_fragment_to_client(Aside& aside, const Flow& flow) noexcept;
  void answer_too_big(uint32_t i, uint16_t mtu) noexcept;
  /// Null if there have been too many lately, or there is no memory.
  rte_mbuf* make_too_big(const rte_mbuf& mbuf, const Packet& packet, uint16_t mtu) noexcept;
  void pass_icmp_of_tunnel(Aside& aside) noexcept;

  // worker_handover.cc: packets for and from other workers.
  /// The worker that owns the flows of a client; under RSS, of one whose packet a device has put before this worker.
  uint32_t owner_of_client(uint64_t client_hash) const noexcept {
    return setup_.spread == Spread::kHandover ? owner_of(client_hash, setup_.workers) : setup_.index;
  }
  /// Likewise of a backend's packet to `to`, whose hash is `hash`: a client, or fullnat's endpoint of ours.
  uint32_t owner_of_reply(const Endpoint& to, uint64_t hash) const noexcept;
  bool take_handed() noexcept;
  void hand_over(uint32_t worker, uint32_t port, rte_mbuf* mbuf, HandoverNote note) noexcept;
  /// Hands a frame to the next worker that might know its flow. False if all have been asked.
  bool ask_next(uint32_t port, rte_mbuf* mbuf, uint32_t asker) noexcept;
  /// Hands an ICMP error to the owner of the flow that it is about. False if it is none, or is ours.
  bool hand_over_icmp(uint32_t port, rte_mbuf* mbuf, const Packet& packet) noexcept;
  /// Whether a first fragment goes on as a segment; if not, it has been handed to the worker that may know its flow.
  bool take_first_fragment(uint32_t port, rte_mbuf* mbuf, const Packet& packet, FlowPlace place, bool from_client,
                           uint32_t asker) noexcept;
  void hand_to_sender(uint32_t port) noexcept;
  void flush_handover(uint32_t worker) noexcept;
  void flush_handovers() noexcept;

  // worker_stateless.cc: connections without an entry.
  /// Deals with a client's packet that has no entry and finds no room for one.
  void meet_full_table(uint32_t i, channel::ServiceId service_id) noexcept;
  bool is_stateless(channel::ServiceId service_id, const Backend& backend) const noexcept;
  /// False if it cannot be: nothing has been done to the packet then.
  bool pass_stateless_to_backend(uint32_t i, channel::ServiceId service_id) noexcept;
  bool pass_stateless_to_client(uint32_t i) noexcept;

  // worker_flows.cc: the life of flows.
  void place_if_new(uint32_t i) noexcept {
    if (burst_.flow[i] == kNoFlow || (burst_.from_client[i] && is_opening(burst_.packet[i]))) place_new(i);
  }
  void place_new(uint32_t i) noexcept;
  void place_one(uint32_t i, channel::ServiceId service_id) noexcept;
  /// A packet for none of the services, and of no flow.
  void pass_stranger(uint32_t i) noexcept;
  static bool is_opening(const Packet& packet) noexcept { return (packet.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpSyn; }
  bool may_adopt() noexcept;
  channel::BackendId choose_backend(channel::ServiceId service_id, const Packet& packet, FlowPlace place, bool opening,
                                    Counter& refusal) noexcept;
  uint32_t first_entry(channel::ServiceId service_id, const Packet& packet, bool opening) noexcept;
  bool is_usable(channel::BackendId id) const noexcept;
  bool admits(const Service& service, const Backend& backend, uint64_t service_flows) const noexcept;
  uint32_t draw(uint32_t below) noexcept;
  bool collides(FlowPlace place, const Packet& packet, const Backend& candidate) noexcept;
  FlowIndex take_flow(FlowPlace place) noexcept;
  void join_embryonic_ring(FlowIndex index) noexcept;
  void set_state(Flow& flow, TcpState state) noexcept;
  void uncount(Flow& flow) noexcept;
  void forget(FlowIndex index) noexcept;
  /// Ends a flow with resets both ways. `cause`: one of Counter::kFlowsCut...
  void cut(FlowIndex index, Counter cause) noexcept;
  void reset_to_client(const Flow& flow) noexcept;
  void reset_to_backend(const Flow& flow) noexcept;
  void send_reset(uint32_t port, const MadeSegment& reset, Counter counter) noexcept;
  bool expire_some() noexcept;
  void sweep_one(FlowIndex index) noexcept;
  bool recycle_closing() noexcept;

  const WorkerSetup setup_;
  FlowTable flows_;
  ForwardingState state_;
  SmtpObserver observer_;
  Taps taps_;
  std::array<uint32_t, static_cast<size_t>(TcpState::kReset) + 1> timeout_ms_;  // by state
  std::array<uint64_t, channel::kMaxPorts> mac_word_;  // a port's MAC in the low 48 bits, as it lies in memory
  uint64_t now_ms_;
  uint32_t established_deadline_ms_ = 0;  // of a flow that a packet of this turn keeps alive
  uint64_t epoch_ = 0;
  rte_ring* commands_ = nullptr;
  rte_ring* events_ = nullptr;
  rte_ring* trace_ = nullptr;
  uint32_t tapped_packets_ = 0;
  Burst burst_;
  std::array<OutQueue, channel::kMaxPorts> out_;
  std::array<HandoverQueue, channel::kMaxWorkers> handover_;
  bool has_fullnat_ = false;  // there are, or were, fullnat flows: replies may be to an address of ours

  // Embryonic flows, oldest first: a new one takes the place of the one that has been here longest.
  static constexpr uint32_t kEmbryonicRing = 1U << 17;
  uint32_t embryonic_limit_;  // power of two, at most kEmbryonicRing
  uint32_t embryonic_next_ = 0;
  std::array<FlowIndex, kEmbryonicRing> embryonic_ring_;

  FlowIndex sweep_hand_ = 0;
  FlowIndex recycle_hand_ = 0;
  uint64_t swept_ms_;          // when the sweep was last credited
  uint64_t sweep_credit_ = 0;  // flows to be visited
  uint64_t urgent_ = 0;        // flows to be visited at once, because backends were lost
  uint32_t turns_ = 0;
  bool sampled_ = false;      // this turn's stages are timed
  uint64_t stage_begin_ = 0;  // TSC
  static constexpr uint32_t kStages =
      static_cast<uint32_t>(Counter::kStageExpireSome) - static_cast<uint32_t>(Counter::kStagePollControl) + 1;
  std::array<uint64_t, kStages> stage_cycles_{};
  uint32_t resets_left_ = 0;  // that may still be made in this turn

  ProxyPending pending_;

  std::array<uint32_t, channel::kMaxServices> turn_of_{};  // wrr: entry of the next flow
  uint64_t random_;                                        // least_conn: state of a xorshift generator

  uint32_t aside_count_ = 0;
  std::array<Aside, Burst::kSize> aside_;
  FragmentTable fragments_;
  ReturnPaths return_paths_;
  TokenBucket icmp_tokens_;  // for errors that we make

  uint64_t adopt_tokens_;
  uint64_t adopt_credited_ms_;
};

}  // namespace sluice
