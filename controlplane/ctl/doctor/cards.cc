// SPDX-License-Identifier: Apache-2.0
//
// Cards with a PCI address: there, bound to a driver that DPDK can use, behind an IOMMU.
#include <fmt/format.h>

#include <algorithm>
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

/// Directories of the card's interfaces; those of a virtio card are a level deeper.
std::vector<std::string> interfaces_of(const Machine& machine, const std::string& address) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& directory) {
    for (const std::string& interface : machine.entries(directory)) out.push_back(directory + interface);
  };
  add(device(address) + "/net/");
  for (const std::string& entry : machine.entries(device(address)))
    if (entry.starts_with("virtio")) add(fmt::format("{}/{}/net/", device(address), entry));
  return out;
}

std::string name_of(const std::string& interface) {
  return interface.substr(interface.rfind('/') + 1);
}

/// By what bind-card knows the card when the machine starts: " 8086:10fb 3c:fd:fe:00:00:01". The MAC is told while the
/// kernel drives the card, and only one that stays.
std::string identity_of(const Machine& machine, const std::string& address) {
  constexpr std::string_view kHex = "0x";
  const auto vendor = machine.text(device(address) + "/vendor"), kind = machine.text(device(address) + "/device");
  if (!vendor || !kind || !vendor->starts_with(kHex) || !kind->starts_with(kHex)) return "";
  std::string out = fmt::format(" {}:{}", vendor->substr(kHex.size()), kind->substr(kHex.size()));
  for (const std::string& interface : interfaces_of(machine, address)) {
    const auto mac = machine.text(interface + "/address");
    if (mac && machine.number(interface + "/addr_assign_type") == 0) return out + " " + *mac;  // NET_ADDR_PERM
  }
  return out;
}

/// What takes a card to vfio-pci whenever the data plane starts; and switches an IOMMU on, where there is none.
Remedies binding(const Machine& machine, const std::string& address) {
  Remedies out{{Remedy::Kind::kModule, "vfio-pci", ""},
               {Remedy::Kind::kDriver, address, "vfio-pci" + identity_of(machine, address)}};
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

bool has_routes(const Machine& machine, const std::string& interface) {
  for (const bool v4 : {true, false}) {
    std::istringstream lines(machine.text(v4 ? "/proc/net/route" : "/proc/net/ipv6_route").value_or(""));
    for (std::string line; std::getline(lines, line);)
      if (is_route(line, interface, v4)) return true;
  }
  return false;
}

/// An interface that is made of this one: a bond, a bridge, a VLAN. "" = none.
std::string upper_of(const Machine& machine, const std::string& interface) {
  const auto entries = machine.entries(interface);
  const auto upper = std::ranges::find_if(
      entries, [](const std::string& entry) { return entry == "master" || entry.starts_with("upper_"); });
  return upper == entries.end() ? "" : machine.target(fmt::format("{}/{}", interface, *upper));
}

/// What the kernel has a card for, so that whoever is at a distance may have come that way.
struct Use {
  std::string interface;  // "" = nothing
  std::string what;       // "has routes over it (eth2)"
};
Use use_of(const Machine& machine, const std::string& address) {
  for (const std::string& interface : interfaces_of(machine, address)) {
    const std::string name = name_of(interface);
    if (const std::string upper = upper_of(machine, interface); !upper.empty())
      return {name, fmt::format("has {} upon it ({})", upper, name)};
    if (has_routes(machine, name)) return {name, fmt::format("has routes over it ({})", name)};
  }
  return {};
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
  else if (const Use use = use_of(machine, address); !use.interface.empty())
    report.fail(topic, fmt::format("{} is the kernel's ({}), which {}", address, driver, use.what),
                fmt::format("unless your own connection leads over it: ip link set {0} nomaster; ip address flush dev "
                            "{0}; {1}",
                            use.interface, bind));
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
