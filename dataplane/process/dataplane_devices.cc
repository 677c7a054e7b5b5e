// SPDX-License-Identifier: Apache-2.0
//
// The data plane's devices: opened, started with queues for its workers, and told which worker's queue a packet is for.
#include <spdlog/spdlog.h>

#include "dataplane/flow/owner_table.h"
#include "dataplane/process/dataplane.h"

namespace sluice {

void Dataplane::open_devices() {
  std::vector<SteeringPlan> steering;
  for (const PortOptions& port : options_.ports) {
    devices_.push_back(std::make_unique<Device>(port));
    const Device& device = *devices_.back();
    plans_.push_back(plan_port(device.capabilities(), port.faces, options_.workers));
    steering.push_back(plans_.back().steering);
    if (plans_.back().why_not.empty()) continue;
    spdlog::info(
        "port {}: {} does not put packets before the worker that has their flow, as {}; workers hand packets over",
        port.name, device.driver(), plans_.back().why_not);
  }
  most_classes_ = classes_for(steering);
  proofs_ = std::make_unique<RssProof[]>(size_t{options_.workers} * devices_.size());
}

uint32_t Dataplane::first_worker(size_t port) const {
  return plans_[port].steering.steers ? 0 : static_cast<uint32_t>(port) % options_.workers;
}

void Dataplane::steer_devices() {
  const OwnerTable owners({options_.workers, flow_memory_.classes}, flow_memory_.hash_seed);
  std::vector<uint16_t> queues;
  for (uint32_t number = 0; number < owners.classes(); number++)
    queues.push_back(static_cast<uint16_t>(owners.of_class(number)));  // worker w has the queues w
  steers_.assign(devices_.size(), false);
  for (size_t i = 0; i < devices_.size(); i++) {
    if (!plans_[i].steering.steers) continue;
    const std::string refused = devices_[i]->steer(plans_[i], pools_of(i), queues);
    steers_[i] = refused.empty();
    if (steers_[i]) continue;
    spdlog::warn(
        "port {}: {} refused {}; it does not put packets before the worker that has their flow, workers hand "
        "them over",
        options_.ports[i].name, devices_[i]->driver(), refused);
  }
}

std::span<RssProof> Dataplane::proofs_of(size_t port) {
  return steers_[port] ? std::span(&proofs_[port * options_.workers], options_.workers) : std::span<RssProof>{};
}

std::vector<rte_mempool*> Dataplane::pools_of(size_t port) const {
  std::vector<rte_mempool*> pools;
  for (uint32_t queue = 0; queue < options_.workers; queue++) {
    pools.push_back(pools_[(first_worker(port) + queue) % options_.workers]);
  }
  return pools;
}

void Dataplane::start_devices() {
  for (size_t i = 0; i < devices_.size(); i++) {
    devices_[i]->start(plans_[i], pools_of(i));
    const PortOptions& port = options_.ports[i];
    spdlog::info("port {}: {}, {}, twin {}", port.name, devices_[i]->describe(), describe(plans_[i]),
                 port.twin.empty() ? "none" : port.twin);
  }
}

}  // namespace sluice
