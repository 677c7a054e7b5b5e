// SPDX-License-Identifier: Apache-2.0
//
// What parts of a worker are built from, without a worker: ports made of rings (0 faces clients, 1 backends), memory
// for flows, forwarding state that a test fills as control would, and a clock that it sets.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/farewell.h"
#include "dataplane/worker/flow_lifecycle.h"
#include "tests/dataplane/support/bench_ports.h"

namespace sluice::testing {

class PartsTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kCapacity = 1024;
  static constexpr uint32_t kFront = 0, kBack = 1;
  static constexpr uint64_t kBegin = 1'000'000;

  static rte_mempool* pool() {
    start_eal();
    static rte_mempool* const kPool = make_pool(1023);
    return kPool;
  }
  static MacAddress port_mac(uint32_t port) { return mac(static_cast<uint8_t>(port + 1)); }
  static Endpoint vip() { return endpoint("192.0.2.25", 25); }
  static Endpoint client(uint16_t n = 0) { return endpoint("198.51.100.7", static_cast<uint16_t>(40000 + n)); }
  static Endpoint backend(uint16_t id) { return endpoint("10.0.1." + std::to_string(10 + id), 2525); }

  WorkerSetup make_setup() {
    WorkerSetup setup;
    setup.ports = 2;
    for (uint32_t port = 0; port < 2; port++) {
      const Faces faces = port == kFront ? Faces::kClients : Faces::kBackends;
      setup.port[port] = {ports_[port].device(), 0, 0, 1500, 0, faces, port_mac(port), 0};
    }
    setup.pool = pool();
    setup.stats = stats_.get();
    setup.routers = &routers_;
    setup.flow_memory = memory_.get();
    setup.flow_capacity = kCapacity;
    return setup;
  }

  void put_backend(uint16_t id, uint16_t weight = 100, uint32_t max_connections = 0,
                   uint8_t flags = channel::kBackendReachable) {
    channel::PutBackend message{};
    message.header = {channel::CommandType::kPutBackend, 0, id, 0};
    message.key = 1000U + id;
    message.address = backend(id).address;
    message.port = backend(id).port;
    message.generation = 1;
    message.next_hop = mac(static_cast<uint8_t>(0xb0 + id));
    message.port_index = kBack;
    message.flags = flags;
    message.weight = weight;
    message.max_connections = max_connections;
    message.sole_service = sole_service_;
    ASSERT_FALSE(state_.apply(channel::Command(message)));
  }

  /// Service 0 at vip(), over the backends that `table` names; `message`'s other fields are kept.
  void put_service(const std::vector<channel::BackendId>& table, channel::PutService message = {}) {
    message.header = {channel::CommandType::kPutService, 0, 0, 0};
    message.key = 1;
    message.vip = vip().address;
    message.port = vip().port;
    message.table_generation = ++generation_;
    message.table_entries = static_cast<uint32_t>(table.size());
    std::memcpy(arena_.data(), table.data(), table.size() * sizeof table[0]);
    ASSERT_FALSE(state_.apply(channel::Command(message)));
  }

  /// Control has said all it knows.
  void end_snapshot() {
    for (const auto type : {channel::CommandType::kSnapshotBegin, channel::CommandType::kSnapshotEnd})
      ASSERT_FALSE(state_.apply(channel::Command(channel::CommandHeader{type, 0, 0, 0})));
  }

  /// A flow from client(n) to the service's `backend`, begun as by a SYN.
  FlowIndex begin_flow(FlowLifecycle& lifecycle, uint16_t n = 0, channel::BackendId backend = 0) {
    const FlowIndex index = flows_.insert(flows_.place(flows_.hash(client(n))));
    if (index == kNoFlow) return index;
    Flow& flow = flows_[index];
    flow = Flow{};
    flow.client = client(n).address;
    flow.client_port = client(n).port;
    flow.backend = backend;
    flow.backend_generation = 1;
    flow.deadline_ms = clock_.deadline_ms(TcpState::kSynSent);
    flow.client_next = 1001;
    flow.server_next = 5001;
    flow.client_mac = mac(0xc1);
    flow.vlan_and_port = kFront << 12;
    lifecycle.begin(index, true, channel::PlacedBy::kTable);
    return index;
  }

  static Packet packet_from(const Endpoint& source) {
    Packet packet{};
    packet.source = source;
    packet.destination = vip();
    packet.tcp_flags = 0x02;  // SYN
    return packet;
  }

  /// A frame that has come in and was parsed. Whoever sends, drops or keeps it takes the mbuf.
  struct Arrival {
    rte_mbuf* mbuf;
    Packet packet{};
    ParseVerdict verdict;
  };
  static Arrival arrival(const Bytes& frame, uint32_t port) {
    Arrival out{.mbuf = make_mbuf(pool(), frame), .verdict = ParseVerdict::kTcp};
    out.verdict = parse_any(*out.mbuf, port_mac(port), out.packet);
    return out;
  }
  /// A burst of one segment of which nothing is known yet.
  std::unique_ptr<Burst> burst_of(const Frame& frame, uint32_t port) {
    auto out = std::make_unique<Burst>();
    const Arrival came = arrival(Frame(frame).to_mac(port_mac(port)).bytes(), port);
    EXPECT_EQ(came.verdict, ParseVerdict::kTcp);
    out->count = 1;
    out->mbuf[0] = came.mbuf;
    out->packet[0] = came.packet;
    out->from_client[0] = state_.is_vip(came.packet.destination.address);
    out->place[0] = flows_.place(flows_.hash(out->from_client[0] ? came.packet.source : came.packet.destination));
    out->flow[0] = kNoFlow;
    out->port[0] = static_cast<uint8_t>(port);
    return out;
  }

  std::vector<Bytes> sent(uint32_t port) {
    egress_.transmit(port);
    return ports_[port].take();
  }
  uint64_t counter(Counter which) const { return counters_[which]; }

  std::array<RingPort, 2> ports_{RingPort(pool()), RingPort(pool())};
  std::unique_ptr<channel::WorkerStats> stats_ = std::make_unique<channel::WorkerStats>();
  std::unique_ptr<std::byte, decltype(&free)> memory_{zeroed_memory(), &free};
  ClientRouters routers_;
  std::vector<std::byte> arena_{4096};
  ChannelAttachment attachment_{1, 0, arena_.data(), arena_.size(), 0};
  uint32_t generation_ = 0;
  channel::ServiceId sole_service_ = channel::kNoService;  // of the backends that are put next

  WorkerSetup setup_ = make_setup();
  Counters counters_{*stats_};
  PollClock clock_{setup_.timers, kBegin};
  FlowTable flows_{memory_.get(), kCapacity, 0x5eed, 1};
  ForwardingState state_{
      flows_.services(), flows_.backends(), flows_.locals(), 2, FlowTimers{}.established_ms, *stats_};
  Handover handover_{setup_, clock_, counters_};
  Egress egress_{setup_, counters_, handover_};
  const Context context_{setup_, clock_, counters_, flows_, state_, egress_};

  void SetUp() override { state_.attach(attachment_); }

 private:
  static std::byte* zeroed_memory() {
    const size_t bytes = channel::align_up(flow_memory_bytes(kCapacity), 4096);
    void* memory = aligned_alloc(4096, bytes);
    std::memset(memory, 0, bytes);
    return static_cast<std::byte*>(memory);
  }
};

/// With the parts that the life of a flow needs.
class FlowPartsTest : public PartsTest {
 protected:
  std::unique_ptr<SmtpObserver> observer_ = std::make_unique<SmtpObserver>(*stats_, flows_.notes());
  OneWay one_way_{context_};
  Resets resets_{context_, one_way_};
  std::unique_ptr<ProxyInjector> proxy_ = std::make_unique<ProxyInjector>(context_);
  SessionRecorder records_{context_};
  SourceLimits limits_{context_};
  KnownClients known_clients_{setup_.hash_seed};
  std::unique_ptr<FlowLifecycle> lifecycle_ =
      std::make_unique<FlowLifecycle>(context_, *observer_, *proxy_, resets_, records_, limits_, known_clients_);
  std::unique_ptr<AnsweredSyns> answered_syns_ = std::make_unique<AnsweredSyns>(context_, known_clients_);
  std::unique_ptr<Responder> responder_ = std::make_unique<Responder>(context_, *answered_syns_);
  Farewell farewell_{context_, *observer_, *lifecycle_, *responder_};

  void SetUp() override {
    PartsTest::SetUp();
    for (uint16_t id = 0; id < 3; id++) put_backend(id);
    put_service({0, 1, 2});
    resets_.begin_poll();
    proxy_->begin_poll();
  }
  void pass(uint64_t ms) {
    clock_.set(clock_.now_ms() + ms);
    flows_.end_burst();
    resets_.begin_poll();
    proxy_->begin_poll();
  }
};

}  // namespace sluice::testing
