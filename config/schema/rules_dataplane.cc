// SPDX-License-Identifier: Apache-2.0
//
// Rules over `dataplane`: cores, ports and their twins, timers.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "config/bounds.h"
#include "config/schema/devices.h"
#include "config/schema/lcores.h"
#include "config/schema/rules.h"

namespace sluice::config {

namespace {

constexpr std::string_view kPorts = "dataplane.ports";

// A virtual device is known by what stands before the first comma; physical ones may share it (representors).
std::string device_identity(const std::string& device) {
  const std::string name = device.substr(0, device.find(','));
  return name.find(':') == std::string::npos ? name : device;
}

void check_lcores(const Dataplane& dataplane, Findings& findings) {
  const std::string path = "dataplane.lcores";
  if (dataplane.lcores.empty() || !findings.sound(path) || !findings.sound("dataplane.workers")) return;
  const auto lcores = parse_lcores(dataplane.lcores);
  if (lcores && lcores->size() < dataplane.workers)
    findings.add(path, fmt::format("\"{}\" gives {} cores to {} workers; allowed: at least one core for each worker",
                                   dataplane.lcores, lcores->size(), dataplane.workers));
}

void check_port_names(const Dataplane& dataplane, Findings& findings) {
  FirstSeen<std::string> names, devices, twins;
  for (size_t i = 0; i < dataplane.ports.size(); i++) {
    const Port& port = dataplane.ports[i];
    const std::string path = fmt::format("{}[{}]", kPorts, i);
    const auto unique = [&](auto& seen, const std::string& key, const std::string& shown, const char* setting) {
      const std::string where = path + "." + setting;
      if (key.empty() || !findings.sound(where)) return;
      if (const auto first = seen.put(key, where))
        findings.add(where, fmt::format("\"{}\" is that of another port, on {}; allowed: one of its own", shown,
                                        findings.where(*first, where)));
    };
    unique(names, port.name, port.name, "name");
    const std::string where = path + (port.device == Port::kBondDevice ? ".bond.members" : ".device");
    for (const std::string& device : devices_of(port)) {
      if (device.empty() || !findings.sound(where)) continue;
      const std::string identity = device_identity(device);
      if (const auto first = devices.put(identity, where))
        findings.add(where, fmt::format("\"{}\" is that of another port, on {}; allowed: one of its own", identity,
                                        findings.where(*first, where)));
    }
    unique(twins, port.twin, port.twin, "twin");
  }
}

void check_twins(const Dataplane& dataplane, Findings& findings) {
  for (size_t i = 0; i < dataplane.ports.size(); i++) {
    const std::string& twin = dataplane.ports[i].twin;
    const std::string path = fmt::format("{}[{}].twin", kPorts, i);
    if (!findings.given(path) && twin.size() > kMaxInterfaceNameBytes)
      findings.add(path, fmt::format("\"{}\", made from the port's name, is longer than {} bytes; set a shorter one",
                                     twin, kMaxInterfaceNameBytes));
    const bool taken = std::ranges::any_of(dataplane.ports, [&](const Port& port) {
      return !twin.empty() && std::ranges::any_of(devices_of(port), [&](const std::string& device) {
        return interface_of(device) == twin;
      });
    });
    if (taken)
      findings.add(path, fmt::format("\"{}\" is the interface of a device; allowed: a name that is not in use", twin));
  }
}

void check_bonds(const Dataplane& dataplane, Findings& findings) {
  for (size_t i = 0; i < dataplane.ports.size(); i++) {
    const Port& port = dataplane.ports[i];
    const std::string path = fmt::format("{}[{}]", kPorts, i);
    const bool is_bond = port.device == Port::kBondDevice;
    if (is_bond && !port.bond)
      findings.add(path + ".device", "\"bond\" has no members; allowed: with `bond = { members = [...]; }` beside it");
    if (!is_bond && port.bond && findings.sound(path + ".device"))
      findings.add(path + ".bond",
                   fmt::format("has no effect beside device = \"{}\"; allowed: with device = \"bond\"", port.device));
    if (!port.bond || !findings.sound(path + ".bond.members")) continue;
    const auto& members = port.bond->members;
    if (members.empty() && findings.given(path + ".bond.members"))
      findings.add(path + ".bond.members", "is empty; allowed: one to 8 devices");
    if (std::ranges::find(members, Port::kBondDevice) != members.end())
      findings.add(path + ".bond.members", "\"bond\" cannot be a member of a bond; allowed: devices");
  }
}

void check_faces(const Dataplane& dataplane, Findings& findings) {
  if (!findings.sound(kPorts)) return;
  if (dataplane.ports.empty()) return findings.add(kPorts, "no port is defined; allowed: 1 to 16");
  bool clients = false, backends = false;
  for (size_t i = 0; i < dataplane.ports.size(); i++) {
    if (!findings.sound(fmt::format("{}[{}].faces", kPorts, i))) return;
    clients = clients || dataplane.ports[i].faces != Faces::kBackends;
    backends = backends || dataplane.ports[i].faces != Faces::kClients;
  }
  if (!clients) findings.add(kPorts, "no port faces clients; allowed: one with faces = \"clients\" or \"both\"");
  if (!backends) findings.add(kPorts, "no port faces backends; allowed: one with faces = \"backends\" or \"both\"");
}

void check_timers(const Timers& timers, Findings& findings) {
  const std::string path = "dataplane.timers.established";
  if (timers.established >= kMinEstablishedSeconds || timers.force || !findings.sound(path)) return;
  findings.add(path, fmt::format("{} cuts sessions that are well, which may be silent for 10 minutes (RFC 5321 section "
                                 "4.5.3.2); allowed: {} s and more, or less with force = true",
                                 timers.established, kMinEstablishedSeconds));
}

}  // namespace

void check_dataplane(const Config& config, Findings& findings) {
  check_lcores(config.dataplane, findings);
  check_port_names(config.dataplane, findings);
  check_twins(config.dataplane, findings);
  check_bonds(config.dataplane, findings);
  check_faces(config.dataplane, findings);
  check_timers(config.dataplane.timers, findings);
}

}  // namespace sluice::config
