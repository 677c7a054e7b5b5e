// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/wiring.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>
#include <unistd.h>

#include <algorithm>

#include "dataplane/base/setup_error.h"
#include "dataplane/device/eal_arguments.h"

namespace sluice::blast {
namespace {

constexpr uint32_t kWireEntries = 4096;
constexpr uint32_t kMbufs = (1U << 15) - 1;
constexpr uint16_t kMtu = 1500;

}  // namespace

Wiring::Wiring(const Options& options) {
  DataplaneOptions eal;
  eal.instance = fmt::format("blast-{}", getpid());
  eal.memory_mb = options.memory_mb;
  eal.hugepages = options.hugepages;
  for (const std::string& device : {options.front, options.back}) {
    if (!device.empty()) eal.ports.push_back({.name = "", .device = device, .twin = ""});
  }
  LcorePlan lcores;
  lcores.main_cpu = options.cpu;
  eal_ = std::make_unique<Eal>(eal_arguments(eal, lcores, count_numa_nodes()));
  pool_ = rte_pktmbuf_pool_create("blast", kMbufs, kPoolCache, 0, pool_data_room(kMtu), SOCKET_ID_ANY);
  if (pool_ == nullptr) {
    throw SetupError(
        fmt::format("packet buffers: {}; raise --memory (now {} MiB)", rte_strerror(rte_errno), options.memory_mb));
  }
  if (options.front.empty()) {
    make_wire();
  } else {
    open_devices(options);
  }
}

Wiring::~Wiring() {
  for (const uint16_t device : ring_devices_) {
    rte_eth_dev_stop(device);
    rte_eth_dev_close(device);
  }
}

void Wiring::open_devices(const Options& options) {
  for (const auto& [name, device] : {std::pair("front", options.front), std::pair("back", options.back)}) {
    if (device.empty()) continue;
    devices_.push_back(std::make_unique<Device>(PortOptions{.name = name, .device = device, .twin = ""}));
    devices_.back()->start(PortPlan{}, std::span<rte_mempool* const>(&pool_, 1));
    fmt::print(stderr, "{}: {}\n", name, devices_.back()->describe());
  }
  front_ = link_of(*devices_[0]);
  if (devices_.size() > 1) back_ = link_of(*devices_[1]);
}

std::unique_ptr<Link> Wiring::link_of(const Device& device) const {
  return std::make_unique<Link>(device.id(), device.mac(), pool_);
}

void Wiring::make_wire() {
  constexpr unsigned kFlags = RING_F_SP_ENQ | RING_F_SC_DEQ;
  rte_ring* up = rte_ring_create("up", kWireEntries, SOCKET_ID_ANY, kFlags);
  rte_ring* down = rte_ring_create("down", kWireEntries, SOCKET_ID_ANY, kFlags);
  if (up == nullptr || down == nullptr) throw SetupError("the wire within the process could not be made");
  const auto end = [&](const char* name, rte_ring* receive, rte_ring* transmit, uint8_t mac) {
    const int device = rte_eth_from_rings(name, &receive, 1, &transmit, 1, SOCKET_ID_ANY);
    const rte_eth_conf configuration{};
    if (device < 0 || rte_eth_dev_configure(static_cast<uint16_t>(device), 1, 1, &configuration) != 0 ||
        rte_eth_rx_queue_setup(static_cast<uint16_t>(device), 0, kWireEntries, SOCKET_ID_ANY, nullptr, pool_) != 0 ||
        rte_eth_tx_queue_setup(static_cast<uint16_t>(device), 0, kWireEntries, SOCKET_ID_ANY, nullptr) != 0 ||
        rte_eth_dev_start(static_cast<uint16_t>(device)) != 0) {
      throw SetupError("the wire within the process could not be started");
    }
    ring_devices_.push_back(static_cast<uint16_t>(device));
    return std::make_unique<Link>(static_cast<uint16_t>(device), MacAddress{{0x02, 0, 0, 0, 0xb1, mac}}, pool_);
  };
  front_ = end("front", down, up, 1);
  back_ = end("back", up, down, 2);
}

}  // namespace sluice::blast
