// SPDX-License-Identifier: Apache-2.0
//
// A worker: one polling lcore with its flow table. It shares nothing with other workers. Each turn of its loop
// is a sequence of stages over a burst (DESIGN.md section 4):
//
//   poll_control -> receive -> parse -> look_up_flows -> place_new_flows -> translate -> transmit -> expire_some
//
// Memory is taken at start; a turn allocates nothing, takes no lock, makes no system call (but for sleeping, in
// idle mode kSleep, and what the device's driver does) and throws nothing.
#pragma once

#include <rte_ethdev.h>

#include <array>
#include <cstdint>

#include "dataplane/flow_table.h"
#include "dataplane/forwarding_state.h"
#include "dataplane/packet.h"
#include "dataplane/reset.h"
#include "dataplane/worker_setup.h"

namespace sluice {

/// Frames waiting to be sent through one port.
struct OutQueue {
  static constexpr uint32_t kSize = 2 * kMaxBurst;

  uint32_t count = 0;
  std::array<uint64_t, kSize / 64> made{};  // bit i: mbufs[i] was made here, not received
  std::array<rte_mbuf*, kSize> mbufs;
};

/// The packets that the stages work on: parallel arrays, of which the first `count` are in use.
struct Burst {
  uint32_t count = 0;
  std::array<rte_mbuf*, kMaxBurst> mbuf;
  std::array<Packet, kMaxBurst> packet;
  std::array<FlowPlace, kMaxBurst> place;
  std::array<FlowIndex, kMaxBurst> flow;
  std::array<bool, kMaxBurst> from_client;
};

class Worker {
 public:
  /// `now_ms`: CLOCK_MONOTONIC.
  Worker(const WorkerSetup& setup, uint64_t hash_seed, uint64_t boot_id, uint64_t now_ms) noexcept;

  /// One turn at time `now_ms`. Returns whether there was anything to do.
  bool turn(uint64_t now_ms) noexcept;

  const FlowTable& flows() const noexcept { return flows_; }
  ForwardingState& state() noexcept { return state_; }

 private:
  using Counter = channel::Counter;

  void count(Counter counter, uint64_t n = 1) noexcept { setup_.stats->counters[static_cast<size_t>(counter)] += n; }
  void set_gauge(Counter counter, uint64_t n) noexcept { setup_.stats->counters[static_cast<size_t>(counter)] = n; }

  // worker.cc: the stages.
  bool poll_control() noexcept;
  void reject(const channel::Command& command, channel::RejectReason reason) noexcept;
  bool receive(uint32_t port) noexcept;
  void parse_burst(uint32_t port, uint32_t received) noexcept;
  void look_up_flows(uint32_t port) noexcept;
  void translate(uint32_t port) noexcept;
  bool send_for_main() noexcept;
  void transmit(uint32_t port) noexcept;

  // worker.cc: what happens to one packet.
  FlowIndex find_from_client(FlowPlace place, const Packet& packet) const noexcept;
  FlowIndex find_from_backend(FlowPlace place, const Packet& packet) const noexcept;
  bool is_from_client(const Flow& flow, const Packet& packet) const noexcept;
  bool is_from_backend(const Flow& flow, const Packet& packet) const noexcept;
  void translate_from_client(uint32_t port, uint32_t i) noexcept;
  void translate_from_backend(uint32_t port, uint32_t i) noexcept;
  void send(uint32_t port, rte_mbuf* mbuf) noexcept;
  void send_made(uint32_t port, rte_mbuf* mbuf) noexcept;
  void punt(uint32_t port, rte_mbuf* mbuf) noexcept;
  void drop(rte_mbuf* mbuf, Counter reason) noexcept;
  void answer_with_reset(uint32_t port, uint32_t i, Counter reason) noexcept;

  // worker_flows.cc: the life of flows.
  void place_new_flows(uint32_t port) noexcept;
  void place_one(uint32_t port, uint32_t i, channel::ServiceId service_id) noexcept;
  bool may_adopt() noexcept;
  channel::BackendId choose_backend(channel::ServiceId service_id, const Packet& packet, FlowPlace place,
                                    bool& collided) noexcept;
  bool collides(FlowPlace place, const Packet& packet, const Backend& candidate) noexcept;
  FlowIndex take_flow(FlowPlace place) noexcept;
  void join_embryonic_ring(FlowIndex index) noexcept;
  void set_state(Flow& flow, TcpState state) noexcept;
  void uncount(Flow& flow) noexcept;
  void forget(FlowIndex index) noexcept;
  void cut(FlowIndex index) noexcept;
  void reset_to_client(const Flow& flow) noexcept;
  void reset_to_backend(const Flow& flow) noexcept;
  void send_reset(uint32_t port, const BareSegment& reset, Counter counter) noexcept;
  bool expire_some() noexcept;
  void sweep_one(FlowIndex index) noexcept;
  bool recycle_closing() noexcept;

  const WorkerSetup setup_;
  FlowTable flows_;
  ForwardingState state_;
  uint64_t now_ms_;
  uint64_t epoch_ = 0;
  rte_ring* commands_ = nullptr;
  rte_ring* events_ = nullptr;
  Burst burst_;
  std::array<OutQueue, channel::kMaxPorts> out_;

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
  uint32_t resets_left_ = 0;   // that may still be made in this turn

  uint64_t adopt_tokens_;
  uint64_t adopt_credited_ms_;
};

}  // namespace sluice
