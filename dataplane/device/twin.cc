// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/twin.h"

#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/device/device.h"
#include "dataplane/device/memory_plan.h"
#include "dataplane/packet/vlan_tag.h"

namespace sluice {
namespace {

std::string device_name(const TwinOptions& options) {
  return fmt::format("net_tap_twin{}", options.port_index);
}

}  // namespace

Twin::Twin(const TwinOptions& options, rte_mempool* pool) : options_(options), pool_(pool) {
  open();
}

Twin::~Twin() {
  close();
}

void Twin::open() {
  if (access("/dev/net/tun", R_OK | W_OK) != 0) fail("/dev/net/tun cannot be opened; `modprobe tun`", errno);
  if (if_nametoindex(options_.interface.c_str()) != 0)
    fail("an interface of that name exists; remove or rename it", EEXIST);
  const std::string name = device_name(options_);
  const std::string arguments = fmt::format("iface={},mac={}", options_.interface, to_string(options_.mac));
  const QuietDpdk quiet(true);  // the driver reports as errors that there are no flow rules and no secondary process
  int error = rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str());
  if (error != 0) fail("the TAP could not be made", -error);
  rte_eth_dev_get_port_by_name(name.c_str(), &id_);
  is_open_ = true;

  rte_eth_conf conf{};
  conf.rxmode.mtu = options_.mtu;
  conf.intr_conf.rxq = 1;  // so that there is a descriptor to wait on
  error = rte_eth_dev_configure(id_, 1, 1, &conf);
  if (error == 0) error = rte_eth_rx_queue_setup(id_, 0, kTwinDescriptors, SOCKET_ID_ANY, nullptr, pool_);
  if (error == 0) error = rte_eth_tx_queue_setup(id_, 0, kTwinDescriptors, SOCKET_ID_ANY, nullptr);
  if (error == 0) error = rte_eth_dev_set_mtu(id_, options_.mtu);
  if (error == 0) error = rte_eth_dev_start(id_);
  if (error != 0) fail("the TAP could not be set up", -error);
  descriptor_ = rte_eth_dev_rx_intr_ctl_q_get_fd(id_, 0);
  if (descriptor_ < 0) fail("the TAP has no descriptor to wait on", ENOTSUP);
}

void Twin::close() {
  if (!is_open_) return;
  is_open_ = false;
  const QuietDpdk quiet(true);
  rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
  rte_eal_hotplug_remove("vdev", device_name(options_).c_str());
}

bool Twin::is_there() const {
  ifreq request{};
  return is_open_ && ioctl(descriptor_, TUNGETIFF, &request) == 0;
}

bool Twin::renew() {
  close();
  try {
    open();
  } catch (const SetupError& error) {
    spdlog::error("{}", error.what());
    close();
    return false;
  }
  return true;
}

void Twin::give(std::span<rte_mbuf*> mbufs) {
  for (rte_mbuf* mbuf : mbufs) remove_tag(mbuf, options_.vlan);
  const auto n = static_cast<uint16_t>(mbufs.size());
  const uint16_t given = is_open_ ? rte_eth_tx_burst(id_, 0, mbufs.data(), n) : uint16_t{0};
  counters_.to_kernel += given;
  if (given == n) return;
  rte_pktmbuf_free_bulk(&mbufs[given], n - given);
  counters_.lost_to_kernel += n - given;
}

uint16_t Twin::take(std::span<rte_mbuf*> mbufs) {
  if (!is_open_) return 0;
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

bool Twin::set_carrier(bool up) {
  const int carrier = up ? 1 : 0;
  // The descriptor to wait on is the TAP's own.
  if (ioctl(descriptor_, TUNSETCARRIER, &carrier) == 0) return true;
  spdlog::warn("port {}: the carrier of twin {} does not follow the link: {}", options_.port, options_.interface,
               rte_strerror(errno));
  return false;
}

void Twin::fail(const std::string& what, int error) const {
  throw SetupError(
      fmt::format("port {}: twin {}: {} ({})", options_.port, options_.interface, what, rte_strerror(error)));
}

}  // namespace sluice
