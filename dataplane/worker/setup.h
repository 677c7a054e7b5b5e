// SPDX-License-Identifier: Apache-2.0
//
// What the main lcore prepares for a worker before it starts: queues, rings, memory, settings. The
// worker owns none of it; all of it outlives the worker.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/contract/flow.h"
#include "dataplane/contract/segment.h"
#include "dataplane/flow/client_routers.h"
#include "dataplane/flow/owner_table.h"
#include "dataplane/worker/own_addresses.h"
#include "dataplane/worker/punt_class.h"
#include "dataplane/worker/rss_proof.h"

namespace sluice {

class ToldTable;

inline constexpr uint32_t kMaxBurst = 64;

enum class Faces : uint8_t { kClients, kBackends, kBoth };
enum class Idle : uint8_t { kPoll, kPause, kSleep };

/// What becomes of a new connection that finds no room in the flow table. Where kStateless cannot be, it is reset.
enum class OnTableFull : uint8_t { kStateless, kReset, kSilence };
/// What both ends hear when an established flow's idle time is up.
enum class OnIdleExpiry : uint8_t { kSilence, kReset };

/// What becomes of packets to a VIP that are for no service, and of those of other people.
enum class Strangers : uint8_t { kDrop, kKernel };

inline constexpr uint32_t kMostHeldReplies = 256;       // see held_replies.h
inline constexpr uint32_t kHandoverRingEntries = 2048;  // of each ordered pair of workers; usable: one less

/// A port as one worker sees it. The index of a port is its place in dataplane.ports; rings between main and
/// worker carry it in `mbuf->port`.
struct WorkerPort {
  static constexpr uint16_t kNoQueue = 0xffff;

  uint16_t device = 0;                // DPDK port id
  uint16_t receive_queue = kNoQueue;  // kNoQueue: another worker receives for this one
  uint16_t transmit_queue = kNoQueue;
  uint16_t mtu = 1500;  // bytes of IP
  uint16_t vlan = 0;    // 0 = untagged
  Faces faces = Faces::kBoth;
  MacAddress mac;
  uint8_t sender = 0;  // the worker that sends for this one, if transmit_queue is kNoQueue
  // The driver has frames of its own to send, and does so when asked to transmit, if only nothing.
  bool has_own_frames = false;
  std::vector<MacAddress> extra_macs;  // to which frames for us may come as well
  uint32_t receive_descriptors = 0;    // packets that the receive queue holds; 0 = not known
  RssProof* proof = nullptr;           // the device is to put packets before their owner; null = it is not
};

/// One connection of control: a mapped channel segment. Made by the main lcore, handed to every worker through
/// `WorkerSetup::attachment`. A worker publishes the epoch it has moved to in `WorkerStats::segment_epoch`, and in
/// `oldest_epoch_in_use` the oldest whose arena it still reads; main unmaps what no worker reads.
struct ChannelAttachment {
  uint64_t epoch = 0;          // 1, 2, ... ; as StatsHeader::segment_epoch
  uint64_t forget_before = 0;  // tables that lie in segments older than this are to be dropped at once
  std::byte* base = nullptr;
  uint64_t bytes = 0;
  uint64_t arena_offset = 0;  // channel::arena_offset(workers)
  bool ended = false;         // stored by the main lcore when the connection ends; inspections end with it
};

/// Where a worker's copies of captured frames go. The main lcore makes it when a capture is first asked for; then it
/// stays.
struct CaptureSink {
  std::atomic<rte_mempool*> pool{nullptr};  // stored with release by main, when `ring` is there
  rte_ring* ring = nullptr;                 // single producer, single consumer; made by rte_pcapng_copy
};

struct WorkerSetup {
  uint32_t index = 0;
  uint32_t workers = 1;
  uint32_t classes = kMostClasses;  // of clients, by which flows are dealt to workers (flow/owner_table.h)
  // Rings to and from each other worker, single producer and single consumer; null for itself.
  std::array<rte_ring*, channel::kMaxWorkers> hand_to{};
  std::array<rte_ring*, channel::kMaxWorkers> hand_from{};
  uint64_t hash_seed = 0;  // of flow tables; the same for all workers, and for as long as flow memory is kept
  uint32_t burst = 32;     // <= kMaxBurst
  Idle idle = Idle::kPoll;
  FlowTimers timers;
  OnTableFull on_table_full = OnTableFull::kStateless;
  OnIdleExpiry on_idle_expiry = OnIdleExpiry::kSilence;
  std::span<const Endpoint> expected_vips;  // that control will name: until it has, TCP for them is no one else's
  uint32_t ports = 0;
  std::array<WorkerPort, channel::kMaxPorts> port;
  Strangers strangers = Strangers::kDrop;
  uint32_t echo_per_second = 1000;  // echo requests to VIPs that the kernel may answer, of each port
  PuntRings to_main{};              // mbuf pointers for the twin of mbuf->port
  // Single producer, single consumer; mbufs to be sent through port mbuf->port; null if another worker sends for main.
  rte_ring* from_main = nullptr;
  rte_mempool* pool = nullptr;  // for packets the worker makes
  channel::WorkerStats* stats = nullptr;
  channel::LimitTable* limit_table = nullptr;                         // shared by all workers; null: no limit holds
  const std::atomic<const ChannelAttachment*>* attachment = nullptr;  // stored with release by main
  std::atomic<uint64_t>* oldest_epoch_in_use = nullptr;               // stored with release by the worker
  const CaptureSink* capture = nullptr;                               // null: there is none
  const std::atomic<bool>* stop = nullptr;
  ClientRouters* routers = nullptr;             // shared by all workers
  const OwnAddresses* own_addresses = nullptr;  // likewise, written by main; null = there are none
  rte_ring* tells = nullptr;                    // of FlowIndex: flows that have changed; null = nobody wants to know
  const ToldTable* told = nullptr;              // what other nodes have told; null = there are none
  rte_ring* answers_out = nullptr;              // of PassedAnswer: for the node that has asked; null like `told`
  rte_ring* answers_in = nullptr;               // likewise, from the others
  // Flow memory: see flow/flow_memory.h. `flow_memory_bytes(flow_capacity)` bytes, zeroed or of an earlier run.
  std::byte* flow_memory = nullptr;
  uint32_t flow_capacity = 0;
};

/// Runs a worker until `*setup.stop`. To be called on its lcore. Returns 0.
int run_worker(const WorkerSetup& setup);

}  // namespace sluice
