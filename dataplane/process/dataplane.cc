// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/dataplane.h"

#include <fmt/format.h>
#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <span>

#include "dataplane/base/boot_id.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/runtime_directory.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/device/address_watch.h"
#include "dataplane/device/device_string.h"
#include "dataplane/device/eal_arguments.h"
#include "dataplane/device/memory_plan.h"
#include "dataplane/device/port_status.h"
#include "dataplane/device/privileges.h"
#include "dataplane/flow/adoption.h"
#include "dataplane/flow/owner_table.h"
#include "dataplane/packet/vlan_tag.h"
#include "dataplane/process/worker_rounds.h"

namespace sluice {
namespace {

LcorePlan plan_or_throw(const DataplaneOptions& options) {
  auto plan = plan_lcores(options.workers, options.lcores, available_cpus());
  if (!plan) throw SetupError(plan.error());
  return *std::move(plan);
}

/// The NUMA node of a worker's lcore.
int socket_of(uint32_t worker) {
  return static_cast<int>(rte_lcore_to_socket_id(worker_lcore(worker)));
}

/// A pool of packet buffers, or null with rte_errno. `packed`: one straight after the other, across the borders of
/// pages. The AF_XDP driver shares `buffers * size` bytes from the pool's start with the kernel, which throws away for
/// good every buffer beyond: its receive ring would run dry. Only devices that know physical addresses need the
/// borders.
rte_mempool* make_pool(const std::string& name, uint32_t mbufs, uint16_t data_room, bool packed, int socket) {
  rte_pktmbuf_pool_private sizes{};
  sizes.mbuf_data_room_size = data_room;
  return rte_mempool_create(name.c_str(), mbufs, static_cast<unsigned>(sizeof(rte_mbuf) + data_room), kPoolCache,
                            sizeof sizes, rte_pktmbuf_pool_init, &sizes, rte_pktmbuf_init, nullptr, socket,
                            packed ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
}

/// A secret that clients cannot guess, so that they cannot aim at one bucket.
uint64_t draw_hash_seed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = rte_rdtsc();
  return seed;
}

/// What flow files are called: by the instance, which others may share in a directory that all share; only its runtime
/// directory is its own.
std::string flow_file_name(const DataplaneOptions& options) {
  std::string name = options.runtime_directory;
  if (options.flow_store != "auto" || name == "/run/sluice/" + options.instance) return options.instance;
  name.erase(0, name.find_first_not_of('/'));
  std::ranges::replace(name, '/', '-');
  return name;
}

int populate_on_lcore(void* memory) {
  return populate(*static_cast<const FlowMemory*>(memory));
}

int run_on_lcore(void* setup) {
  // From here on this thread looks at what strangers send, and asks the kernel for nothing.
  if (const int error = drop_capabilities(); error != 0) {
    spdlog::warn("worker {}: keeps its capabilities: {}", static_cast<const WorkerSetup*>(setup)->index,
                 std::strerror(error));
  }
  return run_worker(*static_cast<const WorkerSetup*>(setup));
}

}  // namespace

Dataplane::Dataplane(DataplaneOptions options) : options_(std::move(options)), lcores_(plan_or_throw(options_)) {
  check_environment(options_, lcores_);
  block_stop_signals();
  lock_ = claim_runtime_directory(options_.runtime_directory);
  if (lcores_.main_shares)
    spdlog::warn("the main lcore shares CPU {} with a worker: no other is left", lcores_.main_cpu);
  eal_ = std::make_unique<Eal>(eal_arguments(options_, lcores_, count_numa_nodes()));
  open_devices();
  make_pools();
  start_devices();
  make_rings();
  make_twins();
  make_flow_memory();
  steer_devices();
  std::vector<channel::PortStatus> ports;
  ports.reserve(devices_.size());
  for (const auto& device : devices_) ports.push_back(port_identity(*device));
  statistics_ = std::make_unique<Statistics>(options_.workers, rte_get_tsc_hz(), ports, options_.timers);
  make_exchange();
  port_watch_ = std::make_unique<PortWatch>(
      watched_ports(), [this](size_t port) { announce(port); },
      [this] { WorkerRounds(*statistics_, options_.workers).wait_for_one(); });
  port_watch_->poll(0);  // before control may ask
  uint16_t mtu = 0;
  for (const auto& device : devices_) mtu = std::max(mtu, device->mtu());
  capture_ = std::make_unique<Capture>(options_.runtime_directory, options_.workers, pool_data_room(mtu),
                                       statistics_->header().capture);
  std::vector<Descriptor> flow_memories;
  flow_memories.reserve(flow_memory_.of.size());
  for (const FlowMemory& memory : flow_memory_.of) flow_memories.push_back(reopen_read_only(memory.file));
  channel_ = std::make_unique<ChannelServer>(options_.channel_socket, *statistics_, std::move(flow_memories));
}

Dataplane::~Dataplane() {
  stop_workers();
}

void Dataplane::make_pools() {
  uint16_t mtu = 0;
  for (const auto& device : devices_) mtu = std::max(mtu, device->mtu());
  const uint16_t data_room = pool_data_room(mtu);
  const bool packed = std::ranges::none_of(
      options_.ports, [](const auto& port) { return std::ranges::any_of(devices_of(port), is_pci_device); });
  size_t needed = 0;
  for (uint32_t worker = 0; worker < options_.workers; worker++) {
    std::vector<QueueDemand> queues;
    for (size_t i = 0; i < devices_.size(); i++) {
      QueueDemand demand = devices_[i]->queue_demand();
      const uint16_t queue = queue_of(worker, plans_[i].receive_queues, first_worker(i), options_.workers);
      if (queue == WorkerPort::kNoQueue) demand.receive_descriptors = 0;
      queues.push_back(demand);
    }
    const uint32_t mbufs =
        pool_mbufs(queues, worker == 0 ? static_cast<uint32_t>(devices_.size()) : 0, options_.workers - 1);
    needed += pool_bytes(mbufs, data_room, packed || options_.hugepages);
    pools_.push_back(make_pool(fmt::format("worker-{}", worker), mbufs, data_room, packed, socket_of(worker)));
    if (pools_.back() == nullptr) {
      throw SetupError(fmt::format("packet buffers of worker {}: {}; they need {} MiB up to here, raise memory_mb = {}",
                                   worker, rte_strerror(rte_errno), (needed >> 20) + 1, options_.memory_mb));
    }
  }
  spdlog::info("packet buffers: {} for worker 0, {} MiB in all", pools_[0]->size, needed >> 20);
}

void Dataplane::make_rings() {
  constexpr unsigned kFlags = RING_F_SP_ENQ | RING_F_SC_DEQ;
  const auto make = [](const std::string& name, unsigned entries, int socket) {
    rte_ring* ring = rte_ring_create(name.c_str(), entries, socket, kFlags);
    if (ring == nullptr) throw SetupError(fmt::format("ring {}: {}; raise memory_mb", name, rte_strerror(rte_errno)));
    return ring;
  };
  for (uint32_t worker = 0; worker < options_.workers; worker++) {
    relay_.to_main.emplace_back();
    for (size_t port = 0; port < devices_.size(); port++) {
      for (uint32_t punt_class = 0; punt_class < kPuntClasses; punt_class++) {
        relay_.to_main.back()[port][punt_class] = make(fmt::format("to-main-{}-{}-{}", worker, port, punt_class),
                                                       kPuntRingEntries[punt_class], socket_of(worker));
      }
    }
    relay_.from_main.push_back(make(fmt::format("from-main-{}", worker), kTwinRingEntries, socket_of(worker)));
  }
  for (size_t i = 0; i < devices_.size(); i++) relay_.sender[i] = first_worker(i);
  if (options_.workers == 1) return;
  for (uint32_t from = 0; from < options_.workers; from++) {
    for (uint32_t to = 0; to < options_.workers; to++) {
      handover_rings_.push_back(
          from == to ? nullptr : make(fmt::format("hand-{}-{}", from, to), kHandoverRingEntries, socket_of(to)));
    }
  }
}

void Dataplane::make_twins() {
  for (size_t i = 0; i < devices_.size(); i++) {
    const PortOptions& port = options_.ports[i];
    if (port.twin.empty()) continue;
    relay_.twins[i] = std::make_unique<Twin>(TwinOptions{.port_index = static_cast<uint16_t>(i),
                                                         .port = port.name,
                                                         .interface = port.twin,
                                                         .mac = devices_[i]->mac(),
                                                         .mtu = devices_[i]->mtu(),
                                                         .vlan = port.vlan},
                                             pools_[0]);
  }
}

std::vector<PortWatch::Port> Dataplane::watched_ports() {
  std::vector<PortWatch::Port> out;
  for (size_t i = 0; i < devices_.size(); i++) {
    out.push_back({.device = devices_[i].get(),
                   .twin = relay_.twins[i].get(),
                   .status = &statistics_->header().port[i],
                   .proofs = proofs_of(i)});
  }
  return out;
}

void Dataplane::announce(size_t port) {
  rte_ether_addr mac{};
  std::memcpy(mac.addr_bytes, devices_[port]->mac().bytes.data(), sizeof mac.addr_bytes);
  rte_mbuf* frame = rte_net_make_rarp_packet(pools_[0], &mac);
  if (frame == nullptr) return;
  frame->port = static_cast<uint16_t>(port);
  if (!add_tag(frame, options_.ports[port].vlan)) return rte_pktmbuf_free(frame);
  give_to_sender(relay_, port, std::span(&frame, 1));
}

void Dataplane::make_flow_memory() {
  const auto populate_there = [](uint32_t worker, const FlowMemory& memory) {
    // On the worker's own lcore, so that the pages lie on its NUMA node.
    rte_eal_remote_launch(populate_on_lcore, const_cast<FlowMemory*>(&memory), worker_lcore(worker));
    return rte_eal_wait_lcore(worker_lcore(worker));
  };
  std::vector<PortIdentity> ports;
  for (size_t i = 0; i < devices_.size(); i++) {
    ports.push_back({hash_port_name(options_.ports[i].name), devices_[i]->mac(), 0});
  }
  flow_memory_ = make_flow_memories({.stores = flow_stores(options_.flow_store, options_.hugepages),
                                     .files = flow_file_name(options_),
                                     .workers = options_.workers,
                                     .classes = most_classes_,
                                     .flow_capacity = options_.flow_capacity,
                                     .hugepages = options_.hugepages,
                                     .ports = ports,
                                     .boot_id = read_boot_id(),
                                     .now_ms = Clock().ms_at(rte_rdtsc()),
                                     .fresh_seed = draw_hash_seed(),
                                     .populate = populate_there});
  for (uint32_t worker = 0; worker < options_.workers; worker++) {
    const FlowMemory& memory = flow_memory_.of[worker];
    spdlog::info("worker {}: CPU {}, {} flows in {} MiB of {}{}", worker, lcores_.worker_cpus[worker],
                 options_.flow_capacity, memory.mapping.bytes() >> 20, memory.where,
                 memory.kept ? ", with those of the last run" : "");
  }
}

void Dataplane::make_exchange() {
  if (options_.peers.to.empty()) return;
  std::vector<const std::byte*> memories;
  memories.reserve(flow_memory_.of.size());
  for (const FlowMemory& memory : flow_memory_.of) memories.push_back(memory.mapping.data());
  exchange_ = std::make_unique<PeerExchange>(options_.peers, memories, options_.flow_capacity,
                                             options_.timers.established_ms / 1000, statistics_->header().peers);
}

WorkerSetup Dataplane::worker_setup(uint32_t worker) {
  WorkerSetup setup;
  setup.index = worker;
  setup.workers = options_.workers;
  setup.burst = options_.burst;
  setup.classes = flow_memory_.classes;
  setup.hash_seed = flow_memory_.hash_seed;
  for (uint32_t other = 0; other < options_.workers && options_.workers != 1; other++) {
    setup.hand_to[other] = handover_rings_[size_t{worker} * options_.workers + other];
    setup.hand_from[other] = handover_rings_[size_t{other} * options_.workers + worker];
  }
  setup.idle = options_.idle;
  setup.timers = options_.timers;
  setup.on_table_full = options_.on_table_full;
  setup.on_idle_expiry = options_.on_idle_expiry;
  setup.strangers = options_.strangers;
  setup.echo_per_second = options_.echo_per_second;
  setup.expected_vips = options_.vips;
  setup.ports = static_cast<uint32_t>(devices_.size());
  for (size_t i = 0; i < devices_.size(); i++) {
    const uint16_t transmit_queue = queue_of(worker, plans_[i].transmit_queues, first_worker(i), options_.workers);
    const bool sends = transmit_queue != WorkerPort::kNoQueue;
    setup.port[i] = {.device = devices_[i]->id(),
                     .receive_queue = queue_of(worker, plans_[i].receive_queues, first_worker(i), options_.workers),
                     .transmit_queue = transmit_queue,
                     .mtu = devices_[i]->mtu(),
                     .vlan = options_.ports[i].vlan,
                     .faces = options_.ports[i].faces,
                     .mac = devices_[i]->mac(),
                     .sender = static_cast<uint8_t>(first_worker(i)),
                     .has_own_frames = sends && devices_[i]->has_own_frames(),
                     .extra_macs = options_.ports[i].extra_macs,
                     .receive_descriptors = devices_[i]->queue_demand().receive_descriptors,
                     .proof = steers_[i] ? &proofs_of(i)[worker] : nullptr};
  }
  setup.to_main = relay_.to_main[worker];
  setup.from_main = relay_.from_main[worker];
  setup.pool = pools_[worker];
  setup.stats = &statistics_->worker(worker);
  setup.limit_table = &statistics_->limit_table();
  // No page fault is to meet the worker.
  madvise(setup.stats, channel::kWorkerStatsStride, MADV_POPULATE_WRITE);
  madvise(setup.limit_table, sizeof *setup.limit_table, MADV_POPULATE_WRITE);
  setup.attachment = channel_->attachment();
  setup.oldest_epoch_in_use = channel_->oldest_epoch_in_use(worker);
  setup.capture = capture_->sink(worker);
  setup.stop = &stop_;
  setup.routers = &routers_;
  setup.own_addresses = &own_addresses_;
  if (exchange_ != nullptr) {
    const TellingWorker& rings = exchange_->of_worker(worker);
    setup.tells = rings.tells;
    setup.answers_out = rings.answers_out;
    setup.answers_in = rings.answers_in;
    setup.told = &exchange_->table();
  }
  setup.flow_memory = flow_memory_.of[worker].mapping.data();
  setup.flow_capacity = options_.flow_capacity;
  return setup;
}

void Dataplane::start_workers() {
  setups_.reserve(options_.workers);  // the lcores hold pointers into it
  for (uint32_t worker = 0; worker < options_.workers; worker++) {
    setups_.push_back(worker_setup(worker));
    rte_eal_remote_launch(run_on_lcore, &setups_.back(), worker_lcore(worker));
  }
}

void Dataplane::stop_workers() {
  stop_.store(true, std::memory_order_release);  // pairs with the workers' loads: they leave their loops
  if (eal_ != nullptr) rte_eal_mp_wait_lcore();
}

int Dataplane::run() {
  const WorkerRounds rounds(*statistics_, options_.workers);
  ServiceManager service_manager(options_.workers, [&](uint32_t worker) { return rounds.of(worker); });
  AddressWatch addresses(own_addresses_);
  MainLoop loop(relay_, *channel_, *capture_, *port_watch_, addresses, service_manager);
  start_workers();
  if (exchange_ != nullptr) exchange_->start();
  std::vector<unsigned> lcores;
  lcores.reserve(options_.workers);
  for (uint32_t worker = 0; worker < options_.workers; worker++) lcores.push_back(worker_lcore(worker));
  spdlog::info("{}: {} worker{} running; control connects at {}", options_.instance, options_.workers,
               options_.workers == 1 ? "" : "s", options_.channel_socket);
  service_manager.ready();
  const MainLoop::End end = loop.run(lcores);
  service_manager.stopping();
  // It takes the kernel a while to undo an interface, and until then packets pass.
  for (const auto& twin : relay_.twins) {
    if (twin != nullptr) twin->close();
  }
  stop_workers();
  if (end != MainLoop::End::kWorkerEnded) end_in_order(flow_memory_);
  for (const auto& twin : relay_.twins) {
    if (twin == nullptr) continue;
    const TwinCounters& counters = twin->counters();
    spdlog::info("twin {}: {} packets to the kernel ({} lost), {} from it ({} lost)", twin->options().interface,
                 counters.to_kernel, counters.lost_to_kernel, counters.from_kernel, counters.lost_from_kernel);
  }
  return end == MainLoop::End::kSignal ? 0 : 1;
}

}  // namespace sluice
