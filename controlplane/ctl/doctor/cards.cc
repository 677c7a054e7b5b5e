// SPDX-License-Identifier: Apache-2.0
//
// Cards with a PCI address: there, bound to a driver that DPDK can use, behind an IOMMU.
#include <fmt/format.h>

#include <set>
#include <sstream>

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

/// What takes a card to vfio-pci whenever the data plane starts; and switches an IOMMU on, where there is none.
Remedies binding(const Machine& machine, const std::string& address) {
  Remedies out{{Remedy::Kind::kModule, "vfio-pci", ""}, {Remedy::Kind::kDriver, address, "vfio-pci"}};
  if (!machine.has(device(address) + "/iommu_group")) {
    out.push_back({Remedy::Kind::kBoot, "intel_iommu", "on"});
    out.push_back({Remedy::Kind::kBoot, "iommu", "pt"});
  }
  return out;
}

/// Whether a line of /proc/net/route or /proc/net/ipv6_route is of that interface. Each has its link-local routes.
bool is_route(const std::string& line, const std::string& interface, bool v4) {
  std::istringstream words(line);
  std::string first, word, last;
  for (words >> first; words >> word;) last = word;
  return v4 ? first == interface : last == interface && !first.starts_with("fe80") && !first.starts_with("ff");
}

/// The interface of a card that the kernel has routes over: whoever is at a distance may have come that way. "" = none.
std::string routed_interface(const Machine& machine, const std::string& address) {
  for (const std::string& interface : machine.entries(device(address) + "/net")) {
    for (const bool v4 : {true, false}) {
      std::istringstream lines(machine.text(v4 ? "/proc/net/route" : "/proc/net/ipv6_route").value_or(""));
      for (std::string line; std::getline(lines, line);)
        if (is_route(line, interface, v4)) return interface;
    }
  }
  return "";
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
                       "turn it on in the firmware, and boot with intel_iommu=on iommu=pt (AMD: iommu=pt)",
                       binding(machine, address));
  }
  const std::string other = companion(machine, address);
  if (!other.empty())
    return report.fail(topic, fmt::format("{} shares its IOMMU group and is the kernel's", other),
                       fmt::format("bind it to vfio-pci too, or take a slot of its own: dpdk-devbind.py "
                                   "--bind=vfio-pci {}",
                                   other));
  report.ok(topic, "vfio-pci, behind an IOMMU", binding(machine, address));
}

void examine_card(const Machine& machine, const std::string& topic, const std::string& address, Report& report) {
  const std::string bind = "dpdk-devbind.py --bind=vfio-pci " + address;
  if (!machine.has(device(address)))
    return report.fail(topic, "there is no device " + address,
                       "dpdk-devbind.py --status-dev net lists those that are there");
  const std::string driver = machine.target(device(address) + "/driver");
  if (driver.empty())
    report.fail(topic, address + " has no driver", "modprobe vfio-pci; " + bind, binding(machine, address));
  else if (driver == "vfio-pci")
    examine_iommu(machine, topic, address, report);
  else if (kShared.contains(driver))
    report.ok(topic, driver + ", which DPDK shares with the kernel");
  else if (kWithoutIommu.contains(driver))
    report.warn(topic, driver + ": the card may write anywhere", "where there is an IOMMU: " + bind);
  else if (const std::string interface = routed_interface(machine, address); !interface.empty())
    report.fail(topic,
                fmt::format("{} is the kernel's ({}), which has routes over it ({})", address, driver, interface),
                fmt::format("unless your own connection leads over it: ip address flush dev {}; {}", interface, bind));
  else
    report.fail(topic, fmt::format("{} is the kernel's ({})", address, driver),
                "unless your own connection leads over it: " + bind, binding(machine, address));
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
