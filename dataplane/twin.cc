// SPDX-License-Identifier: Apache-2.0
#include "dataplane/twin.h"

#include <fmt/format.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include "dataplane/device.h"
#include "dataplane/log.h"
#include "dataplane/memory_plan.h"
#include "dataplane/setup_error.h"
#include "dataplane/vlan_tag.h"

namespace sluice {
Twin::Twin(const TwinOptions& options, rte_mempool* pool) : options_(options) {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) fail("/dev/net/tun cannot be opened; `modprobe tun`", errno);
  if (if_nametoindex(options.interface.c_str()) != 0)
    fail("an interface of that name exists; remove or rename it", EEXIST);
  const std::string name = fmt::format("net_tap_twin{}", options.port_index);
  const std::string arguments = fmt::format("iface={},mac={}", options.interface, to_string(options.mac));
  const QuietDpdk quiet(true);  // the driver reports as errors that there are no flow rules and no secondary process
  int error = rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str());
  if (error != 0) fail("the TAP could not be made", -error);
  rte_eth_dev_get_port_by_name(name.c_str(), &id_);

  rte_eth_conf conf{};
  conf.rxmode.mtu = options.mtu;
  conf.intr_conf.rxq = 1;  // so that there is a descriptor to wait on
  error = rte_eth_dev_configure(id_, 1, 1, &conf);
  if (error == 0) error = rte_eth_rx_queue_setup(id_, 0, kTwinDescriptors, SOCKET_ID_ANY, nullptr, pool);
  if (error == 0) error = rte_eth_tx_queue_setup(id_, 0, kTwinDescriptors, SOCKET_ID_ANY, nullptr);
  if (error == 0) error = rte_eth_dev_set_mtu(id_, options.mtu);
  if (error == 0) error = rte_eth_dev_start(id_);
  if (error != 0) fail("the TAP could not be set up", -error);
  descriptor_ = rte_eth_dev_rx_intr_ctl_q_get_fd(id_, 0);
  if (descriptor_ < 0) fail("the TAP has no descriptor to wait on", ENOTSUP);
}

Twin::~Twin() {
  rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
}

void Twin::give(rte_mbuf* mbuf) {
  remove_tag(mbuf, options_.vlan);
  if (rte_eth_tx_burst(id_, 0, &mbuf, 1) == 1) {
    counters_.to_kernel++;
  } else {
    rte_pktmbuf_free(mbuf);
    counters_.lost_to_kernel++;
  }
}

uint16_t Twin::take(std::span<rte_mbuf*> mbufs) {
  const uint16_t n = rte_eth_rx_burst(id_, 0, mbufs.data(), static_cast<uint16_t>(mbufs.size()));
  uint16_t kept = 0;
  for (uint16_t i = 0; i < n; i++) {
    rte_mbuf* mbuf = mbufs[i];
    mbuf->port = options_.port_index;
    if (!add_tag(mbuf, options_.vlan)) {
      rte_pktmbuf_free(mbuf);
      counters_.lost_from_kernel++;
      continue;
    }
    mbufs[kept++] = mbuf;
  }
  counters_.from_kernel += kept;
  return kept;
}

void Twin::fail(const std::string& what, int error) const {
  throw SetupError(
      fmt::format("port {}: twin {}: {} ({})", options_.port, options_.interface, what, rte_strerror(error)));
}

}  // namespace sluice
