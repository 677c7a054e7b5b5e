// SPDX-License-Identifier: Apache-2.0
//
// Twins, and the interfaces that devices are made of: there, up, with a link, and of one MTU.
#include <fmt/format.h>

#include <optional>

#include <cstdlib>

#include "config/schema/devices.h"
#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

constexpr uint64_t kUp = 1;  // IFF_UP

std::string path_of(const std::string& interface, const std::string& file) {
  return fmt::format("/sys/class/net/{}/{}", interface, file);
}

bool is_up(const Machine& machine, const std::string& interface) {
  const std::string flags = machine.text(path_of(interface, "flags")).value_or("0x0");  // "0x1003"
  return (std::strtoull(flags.c_str(), nullptr, 16) & kUp) != 0;
}

/// Whether packets can pass; tells why not.
bool examine_interface(const Machine& machine, const std::string& topic, const std::string& interface, Report& report) {
  if (!is_up(machine, interface)) {
    report.fail(topic, interface + " is down", fmt::format("ip link set {} up", interface));
    return false;
  }
  if (machine.number(path_of(interface, "carrier")) == 0) {
    report.fail(topic, interface + " has no link", "cable, transceiver, and the switch's port; sluicectl ports");
    return false;
  }
  return true;
}

/// The kernel's interfaces under a port.
struct Under {
  bool usable = true;
  std::string interface;  // that with the least MTU; "" = there is none
  std::optional<uint64_t> mtu;
};

/// Whether they are there, and packets can pass by all of them; tells why not.
Under examine_under(const Machine& machine, const std::string& topic, const config::Port& port, Report& report) {
  Under out;
  for (const std::string& device : config::devices_of(port)) {
    const std::string interface = config::interface_of(device);
    if (interface.empty()) continue;
    if (!machine.has(path_of(interface, ""))) {
      report.fail(topic, fmt::format("there is no interface {} ({})", interface, device),
                  "ip link lists those that are there");
      out.usable = false;
    } else if (!examine_interface(machine, topic, interface, report)) {
      out.usable = false;
    } else if (const auto mtu = machine.number(path_of(interface, "mtu")); mtu && (!out.mtu || *mtu < *out.mtu)) {
      out.mtu = mtu;
      out.interface = interface;
    }
  }
  return out;
}

}  // namespace

void examine_links(const Patient& patient, Report& report) {
  const Machine& machine = patient.machine;
  std::optional<uint64_t> first_mtu;
  std::string first;
  for (const config::Port& port : patient.config.dataplane.ports) {
    const std::string topic = "link, port " + port.name;
    const Under under = examine_under(machine, topic, port, report);
    if (!under.usable) continue;
    if (!machine.has(path_of(port.twin, ""))) {
      report.warn(topic, fmt::format("there is no twin {}: the data plane does not run here", port.twin),
                  "systemctl start sluice-dataplane@" + patient.config.instance);
      continue;
    }
    if (!examine_interface(machine, topic, port.twin, report)) continue;
    const auto mtu = machine.number(path_of(port.twin, "mtu"));
    if (mtu && under.mtu && *mtu > *under.mtu)
      report.warn(topic,
                  fmt::format("MTU {} of {} is more than that of {}, {}", *mtu, port.twin, under.interface, *under.mtu),
                  fmt::format("ip link set {} mtu {}", port.twin, *under.mtu));
    else if (mtu && first_mtu && *mtu != *first_mtu)
      report.warn(topic, fmt::format("MTU {} of {} is not that of {}, {}", *mtu, port.twin, first, *first_mtu),
                  "one MTU on both sides: packets are passed on as they are, and what is too long is lost");
    else
      report.ok(topic, fmt::format("{} is up, MTU {}", port.twin, mtu.value_or(0)));
    if (mtu && !first_mtu) {
      first_mtu = mtu;
      first = port.twin;
    }
  }
}

}  // namespace sluice::ctl
