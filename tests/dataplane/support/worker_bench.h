// SPDX-License-Identifier: Apache-2.0
//
// A worker on a bench: two ring ports (0 faces clients, 1 faces backends), a channel segment that the test fills as
// control would, and a clock that the test sets.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/worker/worker.h"
#include "tests/dataplane/support/bench_ports.h"

namespace sluice::testing {

struct BenchOptions {
  uint32_t flow_capacity = 4096;
  Faces front = Faces::kClients;
  Faces back = Faces::kBackends;
  uint16_t front_mtu = 1500;
  uint16_t back_mtu = 1500;
  std::vector<MacAddress> front_extra_macs;
  std::byte* flow_memory = nullptr;  // of an earlier bench; null: fresh
  bool snapshot = true;              // control has sent one, an empty one
  OnTableFull on_table_full = OnTableFull::kStateless;
  OnIdleExpiry on_idle_expiry = OnIdleExpiry::kSilence;
  std::vector<Endpoint> expected_vips;
  bool twins = true;  // ports have them
  Strangers strangers = Strangers::kDrop;
  uint32_t echo_per_second = 1000;
  uint32_t workers = 1;  // more: the front belongs to the first, the back to the second
  bool steered = false;  // more: each has a queue of both ports, which are to put packets before their owner
  uint32_t classes = kMostClasses;
  rte_ring* tells = nullptr;        // of flows that have changed
  const ToldTable* told = nullptr;  // what other nodes have told
  rte_ring* answers_out = nullptr;  // of PassedAnswer, for them and from them
  rte_ring* answers_in = nullptr;
  uint32_t receive_descriptors = 0;  // of both ports, as the worker is told; 0 = not
};

class WorkerBench {
 public:
  static constexpr uint32_t kFront = 0;
  static constexpr uint32_t kBack = 1;

  explicit WorkerBench(const BenchOptions& options = {});
  ~WorkerBench();

  /// Addresses of ours that are no VIPs.
  static Address own_front() { return address("192.0.2.2"); }
  static Address own_back() { return address("10.0.1.1"); }
  static MacAddress front_mac() { return mac(0x01); }
  static MacAddress back_mac() { return mac(0x02); }
  /// The station behind backend `id`.
  static MacAddress backend_mac(uint16_t id) { return mac(static_cast<uint8_t>(0xb0 + id)); }

  /// Of a backend that is well, as put_backend() has it.
  static channel::PutBackend backend_message(uint16_t id, const Endpoint& endpoint);
  /// Commands, as control sends them; taken up in the next turn.
  void put_backend(uint16_t id, const Endpoint& endpoint, uint8_t flags = channel::kBackendReachable,
                   uint16_t generation = 1, uint16_t vlan = 0);
  /// A backend that `service` alone forwards to.
  void put_sole_backend(uint16_t id, const Endpoint& endpoint, uint16_t service);
  void put_service(uint16_t id, const Endpoint& vip, const std::vector<uint16_t>& table,
                   channel::OnBackendDown on_backend_down = channel::OnBackendDown::kReset);
  /// The same with every field to choose: `message`'s header, key, endpoint and table are filled in here.
  void put_service(uint16_t id, const Endpoint& vip, const std::vector<uint16_t>& table, channel::PutService message);
  void put_backend(uint16_t id, const Endpoint& endpoint, uint16_t weight, uint32_t max_connections);
  /// An address of ours towards backends, behind the back port.
  /// `flags`: channel::LocalFlags.
  void put_local(uint16_t id, const Address& address, uint8_t flags = 0);
  /// Blocks the ranges between IPv4 borders, and between IPv6 borders given as the upper halves of addresses.
  void put_sources(const std::vector<uint32_t>& v4_borders, const std::vector<uint64_t>& v6_borders = {}) {
    put_list(channel::kBlockedSources, v4_borders, v6_borders);
  }
  /// Exempts those between IPv4 borders from limits.
  void exempt(const std::vector<uint32_t>& v4_borders) { put_list(channel::kExemptSources, v4_borders, {}); }
  /// Refuses those between IPv4 borders, with a word.
  void refuse(const std::vector<uint32_t>& v4_borders) { put_list(channel::kRefusedSources, v4_borders, {}); }
  void put_secret(uint64_t secret);
  /// Borders of each family ascend.
  void put_server_routes(const std::vector<channel::RouteBorder>& v4, const std::vector<channel::RouteBorder>& v6,
                         const std::vector<channel::RouteHop>& hops);
  void put_limits(const channel::LimitRules& rules, uint32_t count, uint32_t layout);
  /// Clients between IPv4 borders have a table of their own in a service.
  void put_route(uint16_t place, uint16_t service, const std::vector<uint32_t>& v4_borders,
                 const std::vector<uint16_t>& table);
  const channel::LimitTable& limit_table() const { return *limit_table_; }
  void put_refusal(uint16_t id, const std::string& text);
  void command(const channel::Command& command);
  void command(channel::CommandType type, uint16_t id = 0);

  /// An inspection at place `id`, with a key and ten seconds to live unless `message` says otherwise.
  void start_inspection(uint16_t id, channel::StartInspection message);
  /// What the inspections have told since the last call: records, and copied frames as rte_pcapng writes them.
  std::vector<channel::TraceRecord> traced();
  std::vector<Bytes> captured();
  /// Records of sessions since the last call.
  std::vector<channel::SessionRecord> sessions(uint32_t worker = 0);
  /// What the first worker handed on of ClientHellos.
  std::vector<channel::HelloPiece> hellos();
  /// Control is gone.
  void end_connection();

  void client_sends(const Frame& frame) { front_.arrive(Frame(frame).to_mac(front_mac()).bytes()); }
  void backend_sends(const Frame& frame) { back_.arrive(Frame(frame).to_mac(back_mac()).bytes()); }
  RingPort& front() { return front_; }
  RingPort& back() { return back_; }

  /// One turn of the worker's loop, `advance_ms` later than the last.
  void turn(uint64_t advance_ms = 0);
  void turns(unsigned n) {
    for (unsigned i = 0; i < n; i++) turn();
  }

  /// What came out at a side, read back; fails the test if a frame is not TCP or a checksum is wrong.
  std::vector<ReadFrame> to_backends() { return read_all(back_.take()); }
  std::vector<ReadFrame> to_clients() { return read_all(front_.take()); }
  std::vector<Bytes> punted();
  std::vector<Bytes> punted(uint32_t port, PuntClass punt_class);
  /// The addresses that the kernel has; at the beginning own_front(), own_back() and some of IPv6.
  void set_own_addresses(const std::vector<Address>& addresses) { own_addresses_->set(addresses); }

  /// Sends a frame from one side, turns, and returns what came out at the other; nullopt unless it was one frame.
  std::optional<ReadFrame> client_to_backend(const Frame& frame);
  std::optional<ReadFrame> backend_to_client(const Frame& frame);

  /// A three-way handshake through the worker. Returns the backend's endpoint that the flow got.
  std::optional<Endpoint> establish(const Endpoint& client, const Endpoint& vip, uint32_t client_isn = 1000,
                                    uint32_t server_isn = 5000);

  /// Of all workers together.
  uint64_t counter(channel::Counter counter) const;
  uint64_t drops() const;
  uint64_t now_ms() const { return now_ms_; }
  const channel::WorkerStats& stats(uint32_t worker = 0) const { return *of_[worker]->stats; }
  Worker& worker(uint32_t worker = 0) { return *of_[worker]->worker; }
  /// The worker that has the flows of a client.
  uint32_t owner(const Endpoint& client) const { return owners_.of(client); }
  /// What a worker has found out of a port, where they are steered.
  const RssProof& proof(uint32_t worker, uint32_t port) const { return of_[worker]->proofs[port]; }
  uint32_t workers() const { return static_cast<uint32_t>(of_.size()); }
  std::byte* flow_memory() { return of_[0]->setup.flow_memory; }
  rte_ring* events() { return channel::event_ring(attachment_.base, 0); }

  /// Packet buffers of all benches that are not in their pool.
  static uint32_t buffers_in_use();

  /// received + handed in = forwarded + punted + handed out + answered + drops.
  void expect_counter_law() const;

 private:
  static std::vector<ReadFrame> read_all(const std::vector<Bytes>& frames);

  /// What one worker has for itself.
  struct OfWorker {
    std::unique_ptr<channel::WorkerStats> stats = std::make_unique<channel::WorkerStats>();
    std::unique_ptr<std::byte, decltype(&free)> flow_memory{nullptr, &free};
    std::atomic<uint64_t> oldest_epoch{0};
    std::array<RssProof, 2> proofs;
    WorkerSetup setup;
    std::unique_ptr<Worker> worker;
  };

  void put_list(uint16_t id, const std::vector<uint32_t>& v4_borders, const std::vector<uint64_t>& v6_borders);
  /// Where it lies, in units of kArenaUnit bytes.
  uint32_t write_list(const std::vector<uint32_t>& v4_borders, const std::vector<uint64_t>& v6_borders);
  uint32_t write_table(const std::vector<uint16_t>& table);
  void set_up(OfWorker& of, uint32_t index, const BenchOptions& options);

  rte_mempool* pool_;
  RingPort front_;
  RingPort back_;
  PuntRings to_main_{};  // of all workers, which take turns
  std::byte* segment_;
  ChannelAttachment attachment_;
  std::atomic<const ChannelAttachment*> attached_{nullptr};
  std::atomic<bool> stop_{false};
  const std::vector<Endpoint> expected_vips_;
  const OwnerTable owners_;
  CaptureSink sink_;
  ClientRouters routers_;
  std::unique_ptr<channel::LimitTable> limit_table_ = std::make_unique<channel::LimitTable>();
  std::unique_ptr<OwnAddresses> own_addresses_ = std::make_unique<OwnAddresses>();
  std::vector<rte_ring*> handover_rings_;
  std::vector<std::unique_ptr<OfWorker>> of_;
  uint64_t now_ms_ = 1'000'000;
  uint32_t sequence_ = 0;
  uint32_t arena_used_ = 0;  // units
};

}  // namespace sluice::testing
