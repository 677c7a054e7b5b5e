// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/open_device.h"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <string_view>

#include "dataplane/base/setup_error.h"
#include "dataplane/device/card_diagnosis.h"
#include "dataplane/device/device_string.h"
#include "dataplane/device/kernel_interface.h"

namespace sluice {
namespace {

constexpr std::string_view kAllowed =
    "write a PCI address bound to vfio-pci (\"0000:3b:00.0\") or a DPDK virtual device (\"net_af_xdp0,iface=eth1\", "
    "\"net_af_packet0,iface=eth1\", \"net_memif0,...\")";

/// The port id of `device`, which EAL has probed (PCI) or which is added here (virtual).
uint16_t find_or_add(const std::string& port, const std::string& device) {
  const bool pci = is_pci_device(device);
  const DeviceString parts = split_device(device);
  const std::string name = pci ? pci_port_name(device) : parts.name;
  if (!pci) {
    uint16_t taken = 0;
    if (rte_eth_dev_get_port_by_name(name.c_str(), &taken) == 0) {  // adding it again would succeed, and do nothing
      throw SetupError(fmt::format(
          "port {}: device name {} is taken; number devices of one kind: net_af_xdp0, net_af_xdp1", port, name));
    }
    const int error = rte_eal_hotplug_add("vdev", name.c_str(), parts.arguments.c_str());
    if (error != 0) {
      throw SetupError(fmt::format("port {}: device \"{}\" could not be opened: {}; {}", port, device,
                                   rte_strerror(-error), kAllowed));
    }
  }
  uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
    if (pci) throw SetupError(fmt::format("port {}: device \"{}\" {}", port, device, diagnose_card(name)));
    throw SetupError(fmt::format("port {}: device \"{}\" was not found; {}", port, device, kAllowed));
  }
  return id;
}

}  // namespace

bool is_present(const std::string& device) {
  uint16_t id = 0;
  return !is_pci_device(device) || rte_eth_dev_get_port_by_name(pci_port_name(device).c_str(), &id) == 0;
}

OpenedDevice open_device(const std::string& port, const std::string& device) {
  OpenedDevice out{.device = device};
  const std::string name = split_device(device).name;
  const auto interface = device_argument(device, "iface");
  if (interface && !name.starts_with("net_tap")) {
    check_interface(port, *interface);
    out.interface = *interface;
  }
  if (name.starts_with("net_af_packet")) {
    spdlog::warn(
        "port {}: with AF_PACKET the kernel sees every packet too, and answers for what the twins own; let nftables "
        "drop at the ingress hook of {}, or use net_af_xdp",
        port, interface.value_or("the interface"));
  }
  out.id = find_or_add(port, device);
  rte_eth_dev_info info{};
  rte_eth_dev_info_get(out.id, &info);
  out.driver = info.driver_name == nullptr ? "?" : info.driver_name;
  return out;
}

}  // namespace sluice
