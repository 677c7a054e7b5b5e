// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/worker_bench.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <string>
#include <utility>

namespace sluice::testing {

using channel::Counter;

namespace {

constexpr uint64_t kHashSeed = 0x5eed;

rte_mempool* bench_pool() {
  start_eal();
  static rte_mempool* const kPool = make_pool(8191);
  return kPool;
}

rte_ring* capture_ring() {
  static rte_ring* const kRing = rte_ring_create("captured", 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  return kRing;
}

std::byte* map_segment(uint32_t workers) {
  void* base = mmap(nullptr, channel::segment_bytes(workers), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) abort();
  for (uint32_t worker = 0; worker < workers; worker++) {
    for (rte_ring* ring :
         {channel::command_ring(base, worker), channel::event_ring(base, worker), channel::trace_ring(base, worker)}) {
      if (rte_ring_init(ring, "bench", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) abort();
    }
    rte_ring_init(channel::session_ring(base, workers, worker), "bench", channel::kSessionRingEntries,
                  RING_F_SP_ENQ | RING_F_SC_DEQ);
    rte_ring_init(channel::hello_ring(base, workers, worker), "bench", channel::kHelloRingEntries,
                  RING_F_SP_ENQ | RING_F_SC_DEQ);
  }
  return static_cast<std::byte*>(base);
}

rte_ring* make_ring(unsigned entries) {
  static int next = 0;
  const std::string name = "bench" + std::to_string(next++);
  rte_ring* ring = rte_ring_create(name.c_str(), entries, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) abort();
  return ring;
}

}  // namespace

WorkerBench::WorkerBench(const BenchOptions& options)
    : pool_(bench_pool()),
      front_(pool_, options.steered ? options.workers : 1),
      back_(pool_, options.steered ? options.workers : 1),
      segment_(map_segment(options.workers)),
      attachment_{1, 0, segment_, channel::segment_bytes(options.workers), channel::arena_offset(options.workers)},
      expected_vips_(options.expected_vips),
      owners_({options.workers, options.classes}, kHashSeed) {
  attached_.store(&attachment_);
  for (const uint32_t port : {kFront, kBack}) {
    for (uint32_t c = 0; c < kPuntClasses && options.twins; c++) to_main_[port][c] = make_ring(kPuntRingEntries[c]);
  }
  set_own_addresses({own_front(), own_back(), address("2001:db8:25::1"), address("fd00:1::1"), address("fe80::2")});
  drain(capture_ring());
  sink_.ring = capture_ring();
  sink_.pool.store(pool_);
  for (uint32_t i = 0; i < options.workers * options.workers; i++) {
    handover_rings_.push_back(i % (options.workers + 1) == 0 ? nullptr
                                                             : make_ring(kHandoverRingEntries));  // none to itself
  }
  for (uint32_t worker = 0; worker < options.workers; worker++) {
    of_.push_back(std::make_unique<OfWorker>());
    set_up(*of_.back(), worker, options);
  }
  if (!options.snapshot) return;
  command(channel::CommandType::kSnapshotBegin);
  command(channel::CommandType::kSnapshotEnd);
}

void WorkerBench::set_up(OfWorker& of, uint32_t index, const BenchOptions& options) {
  of.setup.tells = options.tells;
  of.setup.told = options.told;
  of.setup.answers_out = options.answers_out;
  of.setup.answers_in = options.answers_in;
  const size_t bytes = channel::align_up(flow_memory_bytes(options.flow_capacity), 4096);
  if (options.flow_memory == nullptr) {
    of.flow_memory.reset(static_cast<std::byte*>(aligned_alloc(4096, bytes)));
    std::memset(of.flow_memory.get(), 0, bytes);
  }
  WorkerSetup& setup = of.setup;
  setup.index = index;
  setup.workers = options.workers;
  setup.classes = options.classes;
  for (uint32_t other = 0; other < options.workers; other++) {
    setup.hand_to[other] = handover_rings_[size_t{index} * options.workers + other];
    setup.hand_from[other] = handover_rings_[size_t{other} * options.workers + index];
  }
  setup.ports = 2;
  const auto back_worker = static_cast<uint8_t>(options.workers == 1 ? 0 : 1);
  const auto queue_if = [&](bool has_one) -> uint16_t {
    if (options.steered) return static_cast<uint16_t>(index);
    return has_one ? 0 : WorkerPort::kNoQueue;
  };
  const uint16_t front_queue = queue_if(index == 0);
  const uint16_t back_queue = queue_if(index == back_worker);
  setup.port[kFront] = {front_.device(), front_queue, front_queue, options.front_mtu, 0, options.front, front_mac(), 0};
  setup.port[kFront].extra_macs = options.front_extra_macs;
  setup.port[kBack] = {back_.device(), back_queue, back_queue, options.back_mtu, 0,
                       options.back,   back_mac(), back_worker};
  for (const uint32_t port : {kFront, kBack}) {
    setup.port[port].receive_descriptors = options.receive_descriptors;
    setup.port[port].proof = options.steered ? &of.proofs[port] : nullptr;
  }
  setup.to_main = to_main_;
  setup.pool = pool_;
  setup.stats = of.stats.get();
  setup.limit_table = limit_table_.get();
  setup.attachment = &attached_;
  setup.oldest_epoch_in_use = &of.oldest_epoch;
  setup.capture = &sink_;
  setup.stop = &stop_;
  setup.routers = &routers_;
  setup.flow_memory = options.flow_memory == nullptr ? of.flow_memory.get() : options.flow_memory;
  setup.flow_capacity = options.flow_capacity;
  setup.on_table_full = options.on_table_full;
  setup.on_idle_expiry = options.on_idle_expiry;
  setup.expected_vips = expected_vips_;
  setup.strangers = options.strangers;
  setup.echo_per_second = options.echo_per_second;
  setup.own_addresses = own_addresses_.get();
  of.worker = std::make_unique<Worker>(setup, kHashSeed, 1, now_ms_);
}

WorkerBench::~WorkerBench() {
  for (const auto& of : of_) of->worker.reset();
  for (const uint32_t port : {kFront, kBack}) {
    handover_rings_.insert(handover_rings_.end(), to_main_[port].begin(), to_main_[port].end());
  }
  for (rte_ring* ring : handover_rings_) {
    if (ring == nullptr) continue;
    drain(ring);
    rte_ring_free(ring);
  }
  munmap(segment_, channel::segment_bytes(workers()));
}

void WorkerBench::start_inspection(uint16_t id, channel::StartInspection message) {
  message.header = {channel::CommandType::kStartInspection, 0, id, 0};
  if (message.key == 0) message.key = 7000U + id;
  if (message.deadline_ms == 0) message.deadline_ms = now_ms_ + 10'000;
  command(channel::Command(message));
}

std::vector<channel::TraceRecord> WorkerBench::traced() {
  std::vector<channel::TraceRecord> out(channel::kRingEntries);
  out.resize(channel::take_some(channel::trace_ring(segment_, 0), std::span(out)));
  return out;
}

std::vector<channel::SessionRecord> WorkerBench::sessions(uint32_t worker) {
  std::vector<channel::SessionRecord> out(channel::kSessionRingEntries);
  out.resize(channel::take_sessions(channel::session_ring(segment_, workers(), worker), out));
  return out;
}

std::vector<channel::HelloPiece> WorkerBench::hellos() {
  std::vector<channel::HelloPiece> out(channel::kHelloRingEntries);
  out.resize(channel::take_hellos(channel::hello_ring(segment_, workers(), 0), out));
  return out;
}

std::vector<Bytes> WorkerBench::captured() {
  return drain(capture_ring());
}

void WorkerBench::end_connection() {
  attachment_.ended = true;
}

void WorkerBench::turn(uint64_t advance_ms) {
  now_ms_ += advance_ms;
  // What is handed over twice (to its owner, and back to be sent) is through after as many more rounds.
  const uint32_t rounds = workers() == 1 ? 1 : workers() + 2;
  for (uint32_t round = 0; round < rounds; round++) {
    for (const auto& of : of_) of->worker->poll(now_ms_);
  }
}

std::vector<Bytes> WorkerBench::punted() {
  std::vector<Bytes> out;
  for (uint32_t c = 0; c < kPuntClasses; c++) {
    for (const uint32_t port : {kFront, kBack}) {
      for (Bytes& frame : punted(port, static_cast<PuntClass>(c))) out.push_back(std::move(frame));
    }
  }
  return out;
}

std::vector<Bytes> WorkerBench::punted(uint32_t port, PuntClass punt_class) {
  if (to_main_[port][0] == nullptr) return {};
  return drain(to_main_[port][static_cast<size_t>(punt_class)]);
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
  const Frame answer = Frame().from(backend).to(client).from_mac(syn->destination_mac);
  if (!backend_to_client(Frame(answer).syn().seq(server_isn).ack(client_isn + 1))) return std::nullopt;
  if (!client_to_backend(Frame().from(client).to(vip).seq(client_isn + 1).ack(server_isn + 1))) return std::nullopt;
  return backend;
}

uint64_t WorkerBench::counter(channel::Counter counter) const {
  uint64_t sum = 0;
  for (const auto& of : of_) sum += of->stats->counters[static_cast<size_t>(counter)];
  return sum;
}

uint64_t WorkerBench::drops() const {
  uint64_t sum = 0;
  for (auto i = static_cast<size_t>(channel::kFirstDrop); i <= static_cast<size_t>(channel::kLastDrop); i++) {
    sum += counter(static_cast<Counter>(i));
  }
  return sum;
}

uint32_t WorkerBench::buffers_in_use() {
  return rte_mempool_in_use_count(bench_pool());
}

void WorkerBench::expect_counter_law() const {
  for (const auto& of : of_) {
    const auto at = [&](size_t i) { return of->stats->counters[i]; };
    const auto count = [&](Counter counter) { return at(static_cast<size_t>(counter)); };
    uint64_t dropped = 0;
    for (auto i = static_cast<size_t>(channel::kFirstDrop); i <= static_cast<size_t>(channel::kLastDrop); i++) {
      dropped += at(i);
    }
    EXPECT_EQ(count(Counter::kReceived) + count(Counter::kHandedIn),
              count(Counter::kForwarded) + count(Counter::kPunted) + count(Counter::kHandedOut) +
                  count(Counter::kAnswered) + dropped)
        << "worker " << of->setup.index;
  }
}

}  // namespace sluice::testing
