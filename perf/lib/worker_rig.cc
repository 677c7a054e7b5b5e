// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/worker_rig.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring_peek_zc.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace sluice::perf {
namespace {

constexpr uint32_t kRingEntries = 4096;
constexpr uint16_t kFrontVlan = 100;
constexpr MacAddress kFrontMac{{0x02, 0, 0, 0, 0, 0x01}};
constexpr MacAddress kBackMac{{0x02, 0, 0, 0, 0, 0x02}};

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

template <typename T>
T* must(T* pointer, const char* what) {
  if (pointer == nullptr) fail(what);
  return pointer;
}

std::string unique_name(const char* prefix) {
  static int next = 0;
  return prefix + std::to_string(next++);
}

rte_ring* make_ring(const char* name, uint32_t entries) {
  return must(rte_ring_create(unique_name(name).c_str(), entries, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ),
              "rte_ring_create");
}

uint64_t free_huge_pages() {
  std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  uint64_t n = 0;
  file >> n;
  return n;
}

constexpr uint64_t kHashSeed = 0x5eed;

}  // namespace

Endpoint backend_endpoint(uint32_t n, bool v6) {
  if (!v6) return {Address::v4(Be32::of(0x0a000100 + n)), Be16::of(25)};
  Address address;
  address.bytes = {0xfd, 0};
  address.bytes[14] = static_cast<uint8_t>(n >> 8);
  address.bytes[15] = static_cast<uint8_t>(n);
  return {address, Be16::of(25)};
}

bool start_eal(uint32_t lcore, uint32_t huge_mb, std::optional<uint32_t> second_lcore) {
  const bool huge = free_huge_pages() * 2 >= huge_mb;
  const std::string main = std::to_string(lcore);
  const std::string all = second_lcore ? main + "," + std::to_string(*second_lcore) : main;
  std::vector<std::string> words{"perf", "--no-pci", "--no-telemetry", "--log-level=4",
                                 "-l",   all,        "--main-lcore",   main};
  if (huge) {
    words.insert(words.end(), {"--in-memory", "--huge-unlink"});
  } else {
    words.insert(words.end(), {"--no-huge", "--no-shconf", "-m", std::to_string(huge_mb)});
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) fail("rte_eal_init");
  return huge;
}

std::byte* map_memory(size_t bytes) {
  const size_t rounded = channel::align_up(bytes, 2U << 20);
  void* base = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (base == MAP_FAILED) {
    base = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) fail("mmap");
    madvise(base, rounded, MADV_HUGEPAGE);
  }
  return static_cast<std::byte*>(base);
}

WorkerRig::Port WorkerRig::make_port(const char* name) const {
  Port port{};
  const uint32_t queues = options_.workers;
  for (uint32_t i = 0; i < queues; i++) {
    port.receive.push_back(make_ring("rx", kRingEntries));
    port.transmit.push_back(make_ring("tx", kRingEntries));
  }
  const int device = rte_eth_from_rings(unique_name(name).c_str(), port.receive.data(), queues, port.transmit.data(),
                                        queues, SOCKET_ID_ANY);
  if (device < 0) fail("rte_eth_from_rings");
  port.device = static_cast<uint16_t>(device);
  const rte_eth_conf configuration{};
  const auto count = static_cast<uint16_t>(queues);
  if (rte_eth_dev_configure(port.device, count, count, &configuration) != 0) fail("configuring a ring device");
  for (uint16_t i = 0; i < count; i++) {
    if (rte_eth_rx_queue_setup(port.device, i, kRingEntries, SOCKET_ID_ANY, nullptr, pool_) != 0 ||
        rte_eth_tx_queue_setup(port.device, i, kRingEntries, SOCKET_ID_ANY, nullptr) != 0) {
      fail("a queue of a ring device");
    }
  }
  if (rte_eth_dev_start(port.device) != 0) fail("starting a ring device");
  return port;
}

WorkerRig::WorkerRig(const RigOptions& options)
    : options_(options),
      owners_({options.workers, kMostClasses}, kHashSeed),
      pool_(must(
          rte_pktmbuf_pool_create(unique_name("pool").c_str(), 8191, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY),
          "rte_pktmbuf_pool_create")),
      front_(make_port("front")),
      back_(make_port("back")),
      segment_(static_cast<std::byte*>(mmap(nullptr, channel::segment_bytes(options.workers), PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))),
      attachment_{1, 0, segment_, channel::segment_bytes(options.workers), channel::arena_offset(options.workers)} {
  if (segment_ == MAP_FAILED) fail("mmap");
  madvise(segment_, channel::arena_offset(options.workers), MADV_POPULATE_WRITE);  // as the main lcore does
  attached_.store(&attachment_);
  for (uint32_t i = 0; i < options.workers; i++) seats_.push_back(make_seat(i));
  connect_seats();
  for (const auto& seat : seats_) seat->worker = std::make_unique<Worker>(seat->setup, kHashSeed, 1, now_ms_);
  name_endpoints();
  if (!options.channel) push_configuration();
  const Endpoint client = client_endpoint(0, options.v6);
  const bool tagged = options.kind == FlowKind::kVlan;
  up_ = std::make_unique<FrameTemplate>(kFrontMac, client, vip_, options.frame_bytes, tagged ? kFrontVlan : 0);
  down_ = std::make_unique<FrameTemplate>(kBackMac, backends_[0], client, options.frame_bytes, tagged ? kBackVlan : 0);
}

std::unique_ptr<WorkerRig::Seat> WorkerRig::make_seat(uint32_t index) {
  for (rte_ring* ring : {channel::command_ring(segment_, index), channel::event_ring(segment_, index)}) {
    rte_ring_init(ring, "rig", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ);
  }
  rte_ring_init(channel::session_ring(segment_, options_.workers, index), "rig", channel::kSessionRingEntries,
                RING_F_SP_ENQ | RING_F_SC_DEQ);
  rte_ring_init(channel::hello_ring(segment_, options_.workers, index), "rig", channel::kHelloRingEntries,
                RING_F_SP_ENQ | RING_F_SC_DEQ);
  auto seat = std::make_unique<Seat>();
  seat->to_main = make_ring("main", kRingEntries);
  WorkerSetup& setup = seat->setup;
  setup.index = index;
  setup.workers = options_.workers;
  setup.ports = 2;
  const auto queue = static_cast<uint16_t>(index);
  setup.port[0] = {front_.device, queue, queue, 1500, 0, Faces::kClients, kFrontMac, false};
  setup.port[1] = {back_.device, queue, queue, 1500, 0, Faces::kBackends, kBackMac, false};
  for (uint32_t port = 0; port < 2; port++) setup.port[port].receive_descriptors = options_.receive_descriptors;
  for (uint32_t port = 0; port < 2; port++) setup.port[port].proof = options_.steered ? &seat->proofs[port] : nullptr;
  setup.timers = options_.timers;
  for (auto& port : setup.to_main) port.fill(seat->to_main);
  setup.pool = pool_;
  setup.stats = &seat->own_stats;
  setup.attachment = &attached_;
  setup.oldest_epoch_in_use = &seat->oldest_epoch;
  setup.stop = &stop_;
  setup.routers = &routers_;
  setup.flow_capacity = options_.flow_capacity;
  if (const auto& given = options_.channel) {
    setup.stats = given->stats;
    setup.attachment = given->attachment;
    setup.oldest_epoch_in_use = given->oldest_epoch_in_use;
    setup.flow_memory = given->flow_memory;
  } else {
    setup.flow_memory = map_memory(flow_memory_bytes(options_.flow_capacity));
  }
  return seat;
}

void WorkerRig::connect_seats() {
  for (uint32_t from = 0; from < options_.workers; from++) {
    for (uint32_t to = 0; to < options_.workers; to++) {
      if (from == to) continue;
      handover_rings_.push_back(make_ring("handover", kHandoverRingEntries));
      seats_[from]->setup.hand_to[to] = handover_rings_.back();
      seats_[to]->setup.hand_from[from] = handover_rings_.back();
    }
  }
}

WorkerRig::~WorkerRig() {
  for (uint32_t i = 0; i < options_.workers; i++) clear(i);
  for (const auto& seat : seats_) {
    seat->worker.reset();
    if (!options_.channel) {
      munmap(seat->setup.flow_memory, channel::align_up(flow_memory_bytes(options_.flow_capacity), 2U << 20));
    }
    rte_ring_free(seat->to_main);
  }
  munmap(segment_, channel::segment_bytes(options_.workers));
  for (const Port& port : {front_, back_}) {
    rte_eth_dev_stop(port.device);
    rte_eth_dev_close(port.device);
    for (rte_ring* ring : port.receive) rte_ring_free(ring);
    for (rte_ring* ring : port.transmit) rte_ring_free(ring);
  }
  for (rte_ring* ring : handover_rings_) rte_ring_free(ring);
  rte_mempool_free(pool_);
}

Endpoint WorkerRig::backend_of(const Endpoint& client) const {
  return backends_[table_[table_index(placement_hash(client, vip_, channel::HashOn::kConnection),
                                      static_cast<uint32_t>(table_.size()))]];
}

uint32_t WorkerRig::owner(uint32_t n) const {
  return owners_.of(client_endpoint(n, options_.v6));
}

uint64_t WorkerRig::counter(channel::Counter counter) const {
  uint64_t sum = 0;
  for (const auto& seat : seats_) sum += seat->setup.stats->counters[static_cast<size_t>(counter)];
  return sum;
}

uint8_t* WorkerRig::arrive(rte_ring* queue, const FrameTemplate& frame, const Endpoint& from, const Endpoint& to,
                           uint8_t flags, uint32_t sequence, uint32_t ack) {
  rte_mbuf* mbuf = must(rte_pktmbuf_alloc(pool_), "rte_pktmbuf_alloc");
  frame.write(rte_pktmbuf_mtod(mbuf, uint8_t*), from, to, flags, sequence, ack);
  mbuf->data_len = static_cast<uint16_t>(frame.frame_bytes());
  mbuf->pkt_len = frame.frame_bytes();
  if (rte_ring_enqueue(queue, mbuf) != 0) fail("receive ring");
  return rte_pktmbuf_mtod(mbuf, uint8_t*);
}

void WorkerRig::client_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t ack, uint32_t receiver) {
  arrive(front_.receive[receiver], *up_, client_endpoint(n, options_.v6), vip_, flags, sequence, ack);
}

void WorkerRig::backend_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t ack, uint32_t receiver) {
  const Endpoint client = client_endpoint(n, options_.v6);
  arrive(back_.receive[receiver], *down_, backend_of(client), client, flags, sequence, ack);
}

void WorkerRig::backend_sends_to(uint32_t n, const Endpoint& client, uint8_t flags, uint32_t sequence, uint32_t ack) {
  arrive(back_.receive[0], *down_, backend_of(client_endpoint(n, options_.v6)), client, flags, sequence, ack);
}

WorkerRig::Sent WorkerRig::take_sent(bool to_backend) {
  Sent out;
  void* item;
  if (rte_ring_dequeue((to_backend ? back_ : front_).transmit[0], &item) != 0) return out;
  auto* mbuf = static_cast<rte_mbuf*>(item);
  MacAddress station;
  std::memcpy(station.bytes.data(), rte_pktmbuf_mtod(mbuf, const uint8_t*), station.bytes.size());
  Packet packet;
  if (parse_any(*mbuf, station, packet) == ParseVerdict::kTcp) out = {packet.source, packet.sequence};
  rte_pktmbuf_free(mbuf);
  return out;
}

uint64_t WorkerRig::poll(uint32_t worker) {
  const uint64_t begin = rte_rdtsc_precise();
  seats_[worker]->worker->poll(now_ms_);
  return rte_rdtsc_precise() - begin;
}

uint64_t WorkerRig::swap_macs() {
  const uint64_t begin = rte_rdtsc_precise();
  for (const Port& port : {front_, back_}) {
    std::array<rte_mbuf*, kBurst> mbufs;
    const uint16_t n = rte_eth_rx_burst(port.device, 0, mbufs.data(), kBurst);
    for (uint16_t i = 0; i < n; i++) {
      auto* data = rte_pktmbuf_mtod(mbufs[i], uint8_t*);
      std::array<uint8_t, 6> saved;
      std::memcpy(saved.data(), data, 6);
      std::memcpy(data, data + 6, 6);
      std::memcpy(data + 6, saved.data(), 6);
    }
    rte_eth_tx_burst(port.device, 0, mbufs.data(), n);
  }
  return rte_rdtsc_precise() - begin;
}

void WorkerRig::clear_records(uint32_t worker) {
  // As if control had read them, on another core: their bytes stay out of this one's cache.
  rte_ring* sessions = channel::session_ring(segment_, options_.workers, worker);
  rte_ring_zc_data read;
  while (const unsigned n =
             rte_ring_dequeue_zc_burst_elem_start(sessions, sizeof(channel::SessionRecord), kBurst, &read, nullptr)) {
    rte_ring_dequeue_zc_elem_finish(sessions, n);
  }
}

uint32_t WorkerRig::clear(uint32_t worker) {
  if (!leave_records_ && !options_.channel) clear_records(worker);
  std::array<void*, 256> items;
  uint32_t cleared = 0;
  for (rte_ring* ring : {front_.transmit[worker], back_.transmit[worker], seats_[worker]->to_main,
                         front_.receive[worker], back_.receive[worker]}) {
    for (;;) {
      const unsigned n = rte_ring_dequeue_burst(ring, items.data(), items.size(), nullptr);
      if (n == 0) break;
      rte_pktmbuf_free_bulk(reinterpret_cast<rte_mbuf**>(items.data()), n);
      cleared += n;
    }
  }
  return cleared;
}

void establish(WorkerRig& rig, uint32_t n) {
  for (uint32_t first = 0; first < n; first += WorkerRig::kBurst) {
    const uint32_t last = std::min(n, first + WorkerRig::kBurst);
    const auto step = [&](auto send) {
      for (uint32_t i = first; i < last; i++) send(i, rig.workers() == 1 ? 0 : rig.owner(i));
      for (uint32_t worker = 0; worker < rig.workers(); worker++) {
        rig.poll(worker);
        rig.clear(worker);
      }
    };
    step([&](uint32_t i, uint32_t owner) { rig.client_sends(i, kTcpSyn, 1000, 0, owner); });
    step([&](uint32_t i, uint32_t owner) { rig.backend_sends(i, kTcpSyn | kTcpAck, 5000, 1001, owner); });
    step([&](uint32_t i, uint32_t owner) { rig.client_sends(i, kTcpAck, 1001, 5001, owner); });
  }
}

}  // namespace sluice::perf
