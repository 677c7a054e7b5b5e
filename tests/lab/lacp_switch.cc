// SPDX-License-Identifier: Apache-2.0
//
// lacp-switch UPLINK MEMBER...: the other end of an LACP bond, for kernels that have none: DPDK's bonding driver over
// the members, and every frame passed on between it and the uplink. Devices are interfaces of the kernel, by AF_PACKET.
// Runs until it is killed.
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_eth_bond.h>
#include <rte_eth_bond_8023ad.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr uint16_t kDescriptors = 512;
constexpr uint16_t kBurst = 32;
constexpr unsigned kNapUs = 200;

/// Ends the program if `result`, of what the words say, is an error.
int require(int result, const std::string& words) {
  if (result >= 0) return result;
  std::fprintf(stderr, "lacp-switch: %s: %d\n", words.c_str(), result);
  std::exit(1);
}

uint16_t open_interface(const std::string& interface, unsigned number) {
  const std::string name = "net_af_packet" + std::to_string(number);
  require(rte_eal_hotplug_add("vdev", name.c_str(), ("iface=" + interface).c_str()), interface);
  uint16_t id = 0;
  require(rte_eth_dev_get_port_by_name(name.c_str(), &id), interface);
  return id;
}

void start(uint16_t id, rte_mempool* pool) {
  rte_eth_conf conf{};
  require(rte_eth_dev_configure(id, 1, 1, &conf), "configure");
  require(rte_eth_rx_queue_setup(id, 0, kDescriptors, 0, nullptr, pool), "receive queue");
  require(rte_eth_tx_queue_setup(id, 0, kDescriptors, 0, nullptr), "transmit queue");
  require(rte_eth_dev_start(id), "start");
  require(rte_eth_promiscuous_enable(id), "promiscuous mode");
}

/// Whether anything came. A bond has to be asked to transmit even if there is nothing: LACP speaks then.
bool pass_on(uint16_t from, uint16_t to) {
  std::array<rte_mbuf*, kBurst> mbufs;
  const uint16_t n = rte_eth_rx_burst(from, 0, mbufs.data(), kBurst);
  const uint16_t sent = rte_eth_tx_burst(to, 0, mbufs.data(), n);
  if (sent < n) rte_pktmbuf_free_bulk(&mbufs[sent], n - sent);
  return n > 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: lacp-switch UPLINK MEMBER...\n");
    return 2;
  }
  std::array<std::string, 9> words{"lacp-switch", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m",
                                   "128",         "-l",        "0"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  require(rte_eal_init(static_cast<int>(arguments.size()), arguments.data()), "EAL");
  rte_mempool* pool = rte_pktmbuf_pool_create("frames", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
  if (pool == nullptr) require(-rte_errno, "packet buffers");
  const uint16_t uplink = open_interface(argv[1], 0);
  const auto bond = static_cast<uint16_t>(require(rte_eth_bond_create("net_bonding0", BONDING_MODE_8023AD, 0), "bond"));
  for (int i = 2; i < argc; i++) {
    require(rte_eth_bond_slave_add(bond, open_interface(argv[i], static_cast<unsigned>(i))), argv[i]);
  }
  start(uplink, pool);
  start(bond, pool);
  while (true) {
    const bool in = pass_on(uplink, bond);
    const bool out = pass_on(bond, uplink);
    if (!in && !out) usleep(kNapUs);
  }
}
