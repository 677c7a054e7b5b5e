// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/worker_bench.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

namespace sluice::testing {

using channel::Counter;

namespace {

rte_mempool* bench_pool() {
  start_eal();
  static rte_mempool* const kPool = make_pool(8191);
  return kPool;
}

rte_ring* main_ring() {
  static rte_ring* const kRing = rte_ring_create("to_main", 1024, SOCKET_ID_ANY, 0);
  return kRing;
}

std::byte* map_segment() {
  void* base = mmap(nullptr, channel::segment_bytes(1), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) abort();
  for (rte_ring* ring : {channel::command_ring(base, 0), channel::event_ring(base, 0)}) {
    if (rte_ring_init(ring, "bench", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) abort();
  }
  return static_cast<std::byte*>(base);
}

}  // namespace

WorkerBench::WorkerBench(const BenchOptions& options)
    : pool_(bench_pool()),
      front_(pool_),
      back_(pool_),
      to_main_(main_ring()),
      stats_(std::make_unique<channel::WorkerStats>()),
      segment_(map_segment()),
      attachment_{1, 0, segment_, channel::segment_bytes(1), channel::arena_offset(1)},
      expected_vips_(options.expected_vips) {
  attached_.store(&attachment_);
  drain(to_main_);
  const size_t bytes = channel::align_up(flow_memory_bytes(options.flow_capacity), 4096);
  if (options.flow_memory == nullptr) {
    flow_memory_.reset(static_cast<std::byte*>(aligned_alloc(4096, bytes)));
    std::memset(flow_memory_.get(), 0, bytes);
  }
  setup_.ports = 2;
  setup_.port[kFront] = {front_.device(), 0, 0, options.front_mtu, 0, options.front, front_mac(), false};
  setup_.port[kBack] = {back_.device(), 0, 0, options.back_mtu, 0, options.back, back_mac(), false};
  setup_.to_main = to_main_;
  setup_.pool = pool_;
  setup_.stats = stats_.get();
  setup_.attachment = &attached_;
  setup_.oldest_epoch_in_use = &oldest_epoch_;
  setup_.stop = &stop_;
  setup_.flow_memory = options.flow_memory == nullptr ? flow_memory_.get() : options.flow_memory;
  setup_.flow_capacity = options.flow_capacity;
  setup_.on_table_full = options.on_table_full;
  setup_.on_idle_expiry = options.on_idle_expiry;
  setup_.expected_vips = expected_vips_;
  worker_ = std::make_unique<Worker>(setup_, 0x5eed, 1, now_ms_);
  if (!options.snapshot) return;
  command(channel::CommandType::kSnapshotBegin);
  command(channel::CommandType::kSnapshotEnd);
}

WorkerBench::~WorkerBench() {
  worker_.reset();
  munmap(segment_, channel::segment_bytes(1));
}

void WorkerBench::command(const channel::Command& command) {
  channel::Command numbered = command;
  numbered.header.sequence = ++sequence_;
  ASSERT_TRUE(channel::put_all(channel::command_ring(segment_, 0), std::span<const channel::Command>(&numbered, 1)));
}

void WorkerBench::command(channel::CommandType type, uint16_t id) {
  command(channel::Command(channel::CommandHeader{type, 0, id, 0}));
}

channel::PutBackend WorkerBench::backend_message(uint16_t id, const Endpoint& endpoint) {
  channel::PutBackend message{};
  message.header = {channel::CommandType::kPutBackend, 0, id, 0};
  message.key = 1000U + id;
  message.address = endpoint.address;
  message.port = endpoint.port;
  message.generation = 1;
  message.next_hop = backend_mac(id);
  message.port_index = kBack;
  message.flags = channel::kBackendReachable;
  message.weight = 100;
  message.sole_service = channel::kNoService;
  return message;
}

void WorkerBench::put_backend(uint16_t id, const Endpoint& endpoint, uint8_t flags, uint16_t generation,
                              uint16_t vlan) {
  channel::PutBackend message = backend_message(id, endpoint);
  message.generation = generation;
  message.vlan = vlan;
  message.flags = flags;
  command(channel::Command(message));
}

void WorkerBench::put_backend(uint16_t id, const Endpoint& endpoint, uint16_t weight, uint32_t max_connections) {
  channel::PutBackend message = backend_message(id, endpoint);
  message.weight = weight;
  message.max_connections = max_connections;
  command(channel::Command(message));
}

void WorkerBench::put_sole_backend(uint16_t id, const Endpoint& endpoint, uint16_t service) {
  channel::PutBackend message = backend_message(id, endpoint);
  message.sole_service = service;
  command(channel::Command(message));
}

void WorkerBench::put_service(uint16_t id, const Endpoint& vip, const std::vector<uint16_t>& table,
                              channel::OnBackendDown on_backend_down) {
  channel::PutService message{};
  message.on_backend_down = on_backend_down;
  put_service(id, vip, table, message);
}

void WorkerBench::put_service(uint16_t id, const Endpoint& vip, const std::vector<uint16_t>& table,
                              channel::PutService message) {
  message.header = {channel::CommandType::kPutService, 0, id, 0};
  message.key = 1U + id;
  message.vip = vip.address;
  message.port = vip.port;
  message.table_generation = 1;
  message.table_offset = arena_used_;
  message.table_entries = static_cast<uint32_t>(table.size());
  if (!table.empty()) {
    std::memcpy(segment_ + channel::arena_offset(1) + size_t{arena_used_} * channel::kArenaUnit, table.data(),
                table.size() * sizeof(uint16_t));
  }
  arena_used_ += static_cast<uint32_t>(table.size() * sizeof(uint16_t) / channel::kArenaUnit + 1);
  command(channel::Command(message));
}

void WorkerBench::put_local(uint16_t id, const Address& address) {
  channel::PutLocal message{};
  message.header = {channel::CommandType::kPutLocal, 0, id, 0};
  message.key = 5000U + id;
  message.address = address;
  message.generation = 1;
  message.port_index = kBack;
  command(channel::Command(message));
}

void WorkerBench::turn(uint64_t advance_ms) {
  now_ms_ += advance_ms;
  worker_->turn(now_ms_);
}

std::vector<Bytes> WorkerBench::punted() {
  return drain(to_main_);
}

std::vector<ReadFrame> WorkerBench::read_all(const std::vector<Bytes>& frames) {
  std::vector<ReadFrame> out;
  for (const Bytes& frame : frames) {
    const auto seen = read(frame);
    EXPECT_TRUE(seen.has_value()) << "not TCP, or a wrong checksum";
    if (seen) out.push_back(*seen);
  }
  return out;
}

std::optional<ReadFrame> WorkerBench::client_to_backend(const Frame& frame) {
  client_sends(frame);
  turn();
  const auto frames = to_backends();
  return frames.size() == 1 ? std::optional(frames[0]) : std::nullopt;
}

std::optional<ReadFrame> WorkerBench::backend_to_client(const Frame& frame) {
  backend_sends(frame);
  turn();
  const auto frames = to_clients();
  return frames.size() == 1 ? std::optional(frames[0]) : std::nullopt;
}

std::optional<Endpoint> WorkerBench::establish(const Endpoint& client, const Endpoint& vip, uint32_t client_isn,
                                               uint32_t server_isn) {
  const auto syn = client_to_backend(Frame().from(client).to(vip).syn().seq(client_isn));
  if (!syn) return std::nullopt;
  const Endpoint backend = syn->destination;
  if (!backend_to_client(Frame().from(backend).to(client).syn().seq(server_isn).ack(client_isn + 1))) {
    return std::nullopt;
  }
  if (!client_to_backend(Frame().from(client).to(vip).seq(client_isn + 1).ack(server_isn + 1))) return std::nullopt;
  return backend;
}

uint64_t WorkerBench::drops() const {
  uint64_t sum = 0;
  for (auto i = static_cast<size_t>(channel::kFirstDrop); i <= static_cast<size_t>(channel::kLastDrop); i++) {
    sum += stats_->counters[i];
  }
  return sum;
}

void WorkerBench::expect_counter_law() const {
  EXPECT_EQ(counter(Counter::kReceived) + counter(Counter::kHandedIn),
            counter(Counter::kForwarded) + counter(Counter::kPunted) + counter(Counter::kHandedOut) + drops());
}

}  // namespace sluice::testing
