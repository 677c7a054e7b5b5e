// SPDX-License-Identifier: Apache-2.0
//
// How a device is set up for a number of workers: queues, RSS and offloads, from what the device can
// do. Pure.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <string>

#include "dataplane/device/steering.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// What a device offers, of rte_eth_dev_info.
struct DeviceCapabilities {
  uint16_t receive_queues_max = 1;
  uint16_t transmit_queues_max = 1;
  RssCapabilities rss;
  uint64_t receive_offloads = 0;   // RTE_ETH_RX_OFFLOAD_*
  uint64_t transmit_offloads = 0;  // RTE_ETH_TX_OFFLOAD_*
  bool queues_in_pairs = false;    // the driver wants as many receive as transmit queues
};

struct PortPlan {
  uint16_t receive_queues = 1;
  uint16_t transmit_queues = 1;
  uint64_t rss_types = 0;  // 0 = no RSS: everything arrives on queue 0
  uint64_t receive_offloads = 0;
  uint64_t transmit_offloads = 0;
  // A card that holds what comes in in one buffer would let a worker that does not keep up stop every queue.
  bool drop_when_full = false;
  SteeringPlan steering;
  std::string why_not;  // it is not to steer, where there are workers to steer to

  friend bool operator==(const PortPlan&, const PortPlan&) = default;
};

/// Queues and offloads. Where the device can be told to put packets before their owner, every worker has a queue pair;
/// else as many as the device can give, and any RSS it has spreads the work of receiving.
PortPlan plan_port(const DeviceCapabilities& device, Faces faces, uint32_t workers);

/// Its queues and how packets are spread over them, in words.
std::string describe(const PortPlan& plan);

/// The queue of `worker` among `queues`, of which `first_worker` has the first: or WorkerPort::kNoQueue.
constexpr uint16_t queue_of(uint32_t worker, uint16_t queues, uint32_t first_worker, uint32_t workers) {
  const uint32_t queue = worker >= first_worker ? worker - first_worker : worker + workers - first_worker;
  return queue < queues ? static_cast<uint16_t>(queue) : WorkerPort::kNoQueue;
}

}  // namespace sluice
