// SPDX-License-Identifier: Apache-2.0
//
// The exchange with other nodes, with all that it needs: the table of what they told, the workers' rings, and a thread
// that does nothing else. The thread runs on the main lcore's CPU and has no capabilities.
#pragma once

#include <rte_ring.h>

#include <memory>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "dataplane/device/options.h"
#include "dataplane/peers/exchange.h"

namespace sluice {

class PeerExchange {
 public:
  /// `flow_memories`: of each worker, for `flow_capacity` flows. `status` has to stay. Throws SetupError.
  PeerExchange(const PeerOptions& options, std::span<const std::byte* const> flow_memories, uint32_t flow_capacity,
               uint32_t established_s, channel::PeersStatus& status);

  /// Begins. It ends with this object.
  void start();

  /// The rings of a worker.
  const TellingWorker& of_worker(uint32_t worker) const { return workers_[worker]; }
  const ToldTable& table() const { return *table_; }

 private:
  void run(const std::stop_token& stop);

  Mapping memory_;  // of the table
  std::unique_ptr<ToldTable> table_;
  std::vector<TellingWorker> workers_;
  std::unique_ptr<Exchange> exchange_;
  std::jthread thread_;
};

}  // namespace sluice
