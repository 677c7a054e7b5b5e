// SPDX-License-Identifier: Apache-2.0
//
// Cards with a PCI address: there, bound to a driver that DPDK can use, behind an IOMMU.
#include <fmt/format.h>

#include <set>

#include "config/schema/devices.h"
#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

/// Their drivers share the card with DPDK.
const std::set<std::string> kShared{"mlx4_core", "mlx5_core", "mana", "hv_netvsc"};
const std::set<std::string> kWithoutIommu{"uio_pci_generic", "igb_uio"};

std::string device(const std::string& address) {
  return "/sys/bus/pci/devices/" + address;
}

/// Another device of the group that the kernel drives: then none of them can be given away.
std::string companion(const Machine& machine, const std::string& address) {
  const std::string group = machine.target(device(address) + "/iommu_group");
  for (const std::string& other : machine.entries("/sys/kernel/iommu_groups/" + group + "/devices")) {
    const std::string driver = machine.target(device(other) + "/driver");
    if (!driver.empty() && driver != "vfio-pci" && driver != "pcieport" && driver != "pci-stub") return other;
  }
  return "";
}

void examine_iommu(const Machine& machine, const std::string& topic, const std::string& address, Report& report) {
  if (!machine.has(device(address) + "/iommu_group")) {
    if (machine.text("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y")
      return report.warn(topic, "vfio-pci without an IOMMU: the card may write anywhere",
                         "turn the IOMMU on in the firmware, and boot with intel_iommu=on or amd_iommu=on");
    return report.fail(topic, "vfio-pci, and there is no IOMMU",
                       "turn it on in the firmware, and boot with intel_iommu=on iommu=pt (AMD: iommu=pt)");
  }
  const std::string other = companion(machine, address);
  if (!other.empty())
    return report.fail(topic, fmt::format("{} shares its IOMMU group and is the kernel's", other),
                       fmt::format("bind it to vfio-pci too, or take a slot of its own: dpdk-devbind.py "
                                   "--bind=vfio-pci {}",
                                   other));
  report.ok(topic, "vfio-pci, behind an IOMMU");
}

void examine_card(const Machine& machine, const std::string& topic, const std::string& address, Report& report) {
  const std::string bind = "dpdk-devbind.py --bind=vfio-pci " + address;
  if (!machine.has(device(address)))
    return report.fail(topic, "there is no device " + address,
                       "dpdk-devbind.py --status-dev net lists those that are there");
  const std::string driver = machine.target(device(address) + "/driver");
  if (driver.empty())
    report.fail(topic, address + " has no driver", "modprobe vfio-pci; " + bind);
  else if (driver == "vfio-pci")
    examine_iommu(machine, topic, address, report);
  else if (kShared.contains(driver))
    report.ok(topic, driver + ", which DPDK shares with the kernel");
  else if (kWithoutIommu.contains(driver))
    report.warn(topic, driver + ": the card may write anywhere", "where there is an IOMMU: " + bind);
  else
    report.fail(topic, fmt::format("{} is the kernel's ({})", address, driver),
                "unless your own connection leads over it: " + bind);
}

}  // namespace

void examine_cards(const Patient& patient, Report& report) {
  for (const config::Port& port : patient.config.dataplane.ports) {
    for (const std::string& name : config::devices_of(port)) {
      const std::string address = config::pci_address(name);
      if (!address.empty()) examine_card(patient.machine, "card, port " + port.name, address, report);
    }
  }
}

}  // namespace sluice::ctl
