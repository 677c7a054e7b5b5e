// SPDX-License-Identifier: Apache-2.0
//
// The data plane as a whole: takes ports, memory, twins and the channel, in this order, starts the workers, and gives
// all of it back at the end. One per process.
#pragma once

#include <rte_mempool.h>

#include <atomic>
#include <memory>
#include <vector>

#include "dataplane/device/device.h"
#include "dataplane/device/eal.h"
#include "dataplane/device/options.h"
#include "dataplane/process/capture.h"
#include "dataplane/process/channel_server.h"
#include "dataplane/process/flow_memories.h"
#include "dataplane/process/main_loop.h"
#include "dataplane/process/peer_exchange.h"
#include "dataplane/process/port_watch.h"
#include "dataplane/process/statistics.h"
#include "dataplane/worker/setup.h"

namespace sluice {

class Dataplane {
 public:
  /// Sets everything up. Throws SetupError.
  explicit Dataplane(DataplaneOptions options);
  ~Dataplane();

  /// Runs the workers and the main loop until a signal stops them. Returns the exit code.
  int run();

 private:
  void open_devices();
  void make_pools();
  /// Of a port's receive queues.
  std::vector<rte_mempool*> pools_of(size_t port) const;
  void start_devices();
  void make_rings();
  void make_twins();
  std::vector<PortWatch::Port> watched_ports();
  /// Lets switches know where the port of that index is now, by a RARP request, which hosts have no use for.
  void announce(size_t port);
  void make_flow_memory();
  void make_exchange();
  /// The worker that has a port's first queues.
  uint32_t first_worker(size_t port) const;
  /// Tells cards which queue each of the classes is for, by which flows are dealt to workers.
  void steer_devices();
  /// What workers have found out of a port that is to steer; empty: it is not.
  std::span<RssProof> proofs_of(size_t port);
  WorkerSetup worker_setup(uint32_t worker);
  void start_workers();
  void stop_workers();

  DataplaneOptions options_;
  LcorePlan lcores_;
  Descriptor lock_;
  // Members end in the opposite order: the channel before devices, devices before EAL.
  std::unique_ptr<Eal> eal_;
  std::vector<rte_mempool*> pools_;  // one per worker; EAL's memory ends with the process
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<PortPlan> plans_;
  uint32_t most_classes_ = kMostClasses;   // of clients, that cards' tables have room for
  std::unique_ptr<RssProof[]> proofs_;     // port by port, of each worker
  std::vector<bool> steers_;               // by port: its device has been told to put packets before their owner
  std::vector<rte_ring*> handover_rings_;  // of worker a to b at a * workers + b
  Relay relay_;
  FlowMemories flow_memory_;
  std::unique_ptr<Statistics> statistics_;
  std::unique_ptr<PortWatch> port_watch_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<ChannelServer> channel_;
  ClientRouters routers_;
  OwnAddresses own_addresses_;
  std::vector<WorkerSetup> setups_;
  std::unique_ptr<PeerExchange> exchange_;  // null: with nobody
  std::atomic<bool> stop_{false};
};

}  // namespace sluice
