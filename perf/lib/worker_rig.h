// SPDX-License-Identifier: Apache-2.0
//
// A worker between two ring devices on one core, with services and backends as control would push them.
// The rig puts frames before the worker and takes them away outside the measured time.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/worker.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {

/// Starts the EAL for a benchmark on `lcore`: with huge pages if `huge_mb` of them are to be had (2 MiB), else without.
/// Returns whether it has huge pages. Aborts if the EAL does not start.
bool start_eal(uint32_t lcore, uint32_t huge_mb);

/// Anonymous memory, on huge pages if the system has them, zeroed, for the life of the process.
std::byte* map_memory(size_t bytes);

struct RigOptions {
  uint32_t flow_capacity = 1 << 20;
  uint32_t backends = 16;
  uint32_t frame_bytes = kMinimalFrame;
  bool v6 = false;
  FlowTimers timers;
};

class WorkerRig {
 public:
  static constexpr uint32_t kBurst = 32;

  explicit WorkerRig(const RigOptions& options);
  ~WorkerRig();

  /// Puts a frame of client `n` before the worker, or one of its backend's.
  void client_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t ack);
  void backend_sends(uint32_t n, uint8_t flags, uint32_t sequence, uint32_t ack);

  /// One turn. Returns TSC cycles.
  uint64_t turn();
  /// The floor on the same devices: receive, swap MAC addresses, transmit. Returns TSC cycles.
  uint64_t swap_macs();
  /// Takes away what was sent or punted. Returns how many frames.
  uint32_t clear();

  uint64_t counter(channel::Counter counter) const { return stats_->counters[static_cast<size_t>(counter)]; }
  const channel::WorkerStats& stats() const { return *stats_; }
  const Worker& worker() const { return *worker_; }
  /// Sets the worker's clock.
  void set_time_ms(uint64_t ms) { now_ms_ = ms; }
  uint64_t time_ms() const { return now_ms_; }

 private:
  struct Port {
    rte_ring* receive;
    rte_ring* transmit;
    uint16_t device;
  };

  Port make_port(const char* name);
  void push_configuration();
  Endpoint backend_of(const Endpoint& client) const;
  void arrive(const Port& port, const FrameTemplate& frame, const Endpoint& from, const Endpoint& to, uint8_t flags,
              uint32_t sequence, uint32_t ack);

  RigOptions options_;
  rte_mempool* pool_;
  Port front_;
  Port back_;
  rte_ring* to_main_;
  std::unique_ptr<channel::WorkerStats> stats_;
  std::byte* segment_;
  ChannelAttachment attachment_;
  std::atomic<const ChannelAttachment*> attached_{nullptr};
  std::atomic<uint64_t> oldest_epoch_{0};
  std::atomic<bool> stop_{false};
  WorkerSetup setup_;
  std::unique_ptr<Worker> worker_;
  uint64_t now_ms_ = 1'000'000;
  Endpoint vip_;
  std::vector<Endpoint> backends_;
  std::vector<uint16_t> table_;
  std::unique_ptr<FrameTemplate> up_;
  std::unique_ptr<FrameTemplate> down_;
};

/// Handshakes for clients 0 to n - 1, a burst at a time.
void establish(WorkerRig& rig, uint32_t n);

}  // namespace sluice::perf
