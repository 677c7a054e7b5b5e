// SPDX-License-Identifier: Apache-2.0
//
// How a device is set up for a number of workers: queues, RSS and offloads, from what the device can
// do. Pure.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>

#include "dataplane/worker/setup.h"

namespace sluice {

/// What a device offers, of rte_eth_dev_info.
struct DeviceCapabilities {
  uint16_t receive_queues_max = 1;
  uint16_t transmit_queues_max = 1;
  uint64_t rss_types = 0;          // RTE_ETH_RSS_*
  uint64_t transmit_offloads = 0;  // RTE_ETH_TX_OFFLOAD_*
  bool queues_in_pairs = false;    // the driver wants as many receive as transmit queues
};

struct PortPlan {
  uint16_t receive_queues = 1;
  uint16_t transmit_queues = 1;
  uint64_t rss_types = 0;  // 0 = no RSS: everything arrives on queue 0
  uint64_t transmit_offloads = 0;
  // A card that holds what comes in in one buffer would let a worker that does not keep up stop every queue.
  bool drop_when_full = false;
  bool by_client = false;  // RSS leads a flow's packets, both ways, to one worker

  friend bool operator==(const PortPlan&, const PortPlan&) = default;
};

/// RSS types that hash a TCP packet by its client endpoint alone; 0 for Faces::kBoth, where either side may be the
/// client.
uint64_t client_rss_types(Faces faces);

/// Whether the device can put a flow's packets before one of `workers` workers by its client endpoint.
bool can_spread(const DeviceCapabilities& device, Faces faces, uint32_t workers);

/// Queues and offloads. With Spread::kRss, which requires that every port `can_spread`, worker w has the queues w; with
/// kHandover as many workers have queue pairs as the device can give, and any RSS it has spreads the work of receiving.
PortPlan plan_port(const DeviceCapabilities& device, Faces faces, uint32_t workers, Spread spread);

/// Its queues and how packets are spread over them, in words.
std::string describe(const PortPlan& plan);

/// The queue of `worker` among `queues`, of which `first_worker` has the first: or WorkerPort::kNoQueue.
constexpr uint16_t queue_of(uint32_t worker, uint16_t queues, uint32_t first_worker, uint32_t workers) {
  const uint32_t queue = worker >= first_worker ? worker - first_worker : worker + workers - first_worker;
  return queue < queues ? static_cast<uint16_t>(queue) : WorkerPort::kNoQueue;
}

}  // namespace sluice
