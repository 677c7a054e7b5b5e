// SPDX-License-Identifier: Apache-2.0
//
// A worker between two ring devices on one core, with services and backends as control would push them; or several,
// each with a queue of its own on both. The rig puts frames before the workers and takes them away outside the measured
// time.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/worker/worker.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {

/// Starts the EAL for a benchmark on `lcore`: with huge pages if `huge_mb` of them are to be had (2 MiB), else without.
/// Returns whether it has huge pages. Aborts if the EAL does not start. `second_lcore`: one more, that waits for work.
bool start_eal(uint32_t lcore, uint32_t huge_mb, std::optional<uint32_t> second_lcore = std::nullopt);

/// Anonymous memory, on huge pages if the system has them, zeroed, for the life of the process.
std::byte* map_memory(size_t bytes);

/// What a data plane's process gives its one worker: the channel of a real control, which says what is served, and
/// memory that control reads.
struct RigChannel {
  const std::atomic<const ChannelAttachment*>* attachment;
  std::atomic<uint64_t>* oldest_epoch_in_use;
  channel::WorkerStats* stats;
  std::byte* flow_memory;  // flow_memory_bytes(flow_capacity)
};

/// What is to be done for the rig's flows.
enum class FlowKind : uint8_t {
  kPlain,    // NAT, over untagged Ethernet
  kVlan,     // tagged on both sides
  kProxy,    // a PROXY header is put into each
  kSpliced,  // SYNs are answered by the worker (RigOptions::syn_proxy)
  kFullnat,
  kDsr,  // from here on the client's half alone
  kIpip,
  kGue,
};

struct RigOptions {
  FlowKind kind = FlowKind::kPlain;
  uint32_t workers = 1;
  bool steered = false;              // ports put packets before their owner
  uint32_t flow_capacity = 1 << 20;  // of each worker
  uint32_t backends = 16;
  uint32_t frame_bytes = kMinimalFrame;
  bool v6 = false;
  FlowTimers timers;
  channel::SynProxy syn_proxy = channel::SynProxy::kOff;
  uint32_t receive_descriptors = 0;   // of a port, as workers are told; 0 = not: they are never behind
  std::optional<RigChannel> channel;  // of one worker; control has to serve kVip by one backend, backend_endpoint(0)
};

/// What the rig's clients connect to, and who serves them: backend 0, 1, ...
inline constexpr uint32_t kVip = 0xc0000219;  // 192.0.2.25
inline constexpr uint16_t kBackVlan = 200;    // of FlowKind::kVlan's backends
Endpoint backend_endpoint(uint32_t n, bool v6);

class WorkerRig {
 public:
  static constexpr uint32_t kBurst = 32;

  explicit WorkerRig(const RigOptions& options);
  ~WorkerRig();

  /// Puts a frame of client `n`, or one of its backend's, before a worker.
  void client_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t ack, uint32_t receiver = 0);
  void backend_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t ack, uint32_t receiver = 0);
  /// A frame of client `n`'s backend to an end that it takes for the client's.
  void backend_sends_to(uint32_t n, const Endpoint& client, uint8_t flags, uint32_t sequence, uint32_t ack);

  /// A frame of backend `n` for itself, to somebody outside, or the other way round: such frames are routed from
  /// `route_servers()` on.
  void server_speaks(uint32_t n, const Endpoint& outside);
  void server_hears(uint32_t n, const Endpoint& outside);
  /// The outside is reached by `prefixes` routes besides the default one; backends are on the link.
  void route_servers(uint32_t prefixes);

  /// What the first worker has sent to clients or backends, if there is one frame and TCP in it; takes it away.
  struct Sent {
    Endpoint source;
    uint32_t sequence = 0;
  };
  Sent take_sent(bool to_backend);
  uint32_t proxy_header_bytes() const { return options_.v6 ? 52 : 28; }  // version 2

  /// One poll iteration of a worker. Returns TSC cycles.
  uint64_t poll(uint32_t worker = 0);
  /// The floor on the same devices: receive, swap MAC addresses, transmit. Returns TSC cycles.
  uint64_t swap_macs();
  /// Takes away what a worker sent or punted, or did not receive. Returns how many frames.
  uint32_t clear(uint32_t worker = 0);
  /// Whether clear() leaves records of sessions where they are, as if control had died; until then it takes them. With
  /// a channel they are control's.
  void leave_records(bool leave) { leave_records_ = leave; }

  uint32_t workers() const { return options_.workers; }
  /// The worker that has the flows of client `n`.
  uint32_t owner(uint32_t n) const;
  /// Sum over the workers.
  uint64_t counter(channel::Counter counter) const;
  const Worker& worker() const { return *seats_[0]->worker; }
  /// The first worker's flow table, with its index.
  std::span<const std::byte> flow_memory() const {
    return {static_cast<const std::byte*>(seats_[0]->setup.flow_memory), flow_memory_bytes(options_.flow_capacity)};
  }
  /// Sets the workers' clock.
  void set_time_ms(uint64_t ms) { now_ms_ = ms; }
  uint64_t time_ms() const { return now_ms_; }

 private:
  /// Queue `i` of a port is worker `i`'s.
  struct Port {
    std::vector<rte_ring*> receive;
    std::vector<rte_ring*> transmit;
    uint16_t device;
  };
  /// A worker and what it is given.
  struct Seat {
    rte_ring* to_main = nullptr;
    channel::WorkerStats own_stats;
    std::atomic<uint64_t> oldest_epoch{0};
    std::array<RssProof, 2> proofs;
    WorkerSetup setup;
    std::unique_ptr<Worker> worker;
  };

  Port make_port(const char* name) const;
  std::unique_ptr<Seat> make_seat(uint32_t index);
  void connect_seats();
  void name_endpoints();
  void push_configuration();
  void push(const channel::Command& message);
  void push_backends();
  void push_locals();
  void push_service();
  void clear_records(uint32_t worker);
  Endpoint backend_of(const Endpoint& client) const;
  /// Returns the frame.
  uint8_t* arrive(rte_ring* queue, const FrameTemplate& frame, const Endpoint& from, const Endpoint& to, uint8_t flags,
                  uint32_t sequence, uint32_t ack);

  RigOptions options_;
  OwnerTable owners_;
  rte_mempool* pool_;
  Port front_;
  Port back_;
  std::byte* segment_;
  ChannelAttachment attachment_;
  ClientRouters routers_;
  std::atomic<const ChannelAttachment*> attached_{nullptr};
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<rte_ring*> handover_rings_;
  uint32_t pushed_ = 0;  // commands to each worker
  uint64_t now_ms_ = 1'000'000;
  bool leave_records_ = false;
  Endpoint vip_;
  std::vector<Endpoint> backends_;
  std::vector<uint16_t> table_;
  std::unique_ptr<FrameTemplate> up_;
  std::unique_ptr<FrameTemplate> down_;
  std::unique_ptr<FrameTemplate> out_;  // of backends for themselves
  std::unique_ptr<FrameTemplate> in_;
};

/// Somebody outside, of whom each number is another, scattered over all networks.
Endpoint outside_endpoint(uint32_t n, bool v6);

/// Handshakes for clients 0 to n - 1, a burst at a time.
void establish(WorkerRig& rig, uint32_t n);

}  // namespace sluice::perf
