// SPDX-License-Identifier: Apache-2.0
//
// The data plane as a whole: takes ports, memory, twins and the channel, in this order, starts the workers, and gives
// all of it back at the end. One per process.
#pragma once

#include <rte_mempool.h>

#include <atomic>
#include <memory>
#include <vector>

#include "dataplane/capture.h"
#include "dataplane/channel_server.h"
#include "dataplane/device.h"
#include "dataplane/eal.h"
#include "dataplane/flow_store.h"
#include "dataplane/main_loop.h"
#include "dataplane/options.h"
#include "dataplane/statistics.h"
#include "dataplane/worker_setup.h"

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
  void start_devices();
  void make_rings();
  void make_twins();
  void make_flow_memory();
  /// The worker that has a port's first queues.
  uint32_t first_worker(size_t port) const;
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
  Spread spread_ = Spread::kAlone;
  std::vector<rte_ring*> handover_rings_;  // of worker a to b at a * workers + b
  uint64_t hash_seed_ = 0;
  Relay relay_;
  std::vector<FlowMemory> flow_memory_;
  std::unique_ptr<Statistics> statistics_;
  std::unique_ptr<Capture> capture_;
  std::unique_ptr<ChannelServer> channel_;
  std::vector<WorkerSetup> setups_;
  std::atomic<bool> stop_{false};
};

}  // namespace sluice
