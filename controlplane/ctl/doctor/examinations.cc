// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/examinations.h"

#include <set>

#include "config/schema/lcores.h"

namespace sluice::ctl {

Report look_at(const Patient& patient) {
  Report out;
  for (const auto look : kLooks) look(patient, out);
  return out;
}

Report examine(const Patient& patient) {
  Report out = look_at(patient);
  for (const auto question : kQuestions) question(patient, out);
  return out;
}

std::vector<std::string> twins_of(const Patient& patient) {
  std::vector<std::string> out;
  for (const config::Port& port : patient.config.dataplane.ports)
    if (patient.machine.has("/sys/class/net/" + port.twin)) out.push_back(port.twin);
  return out;
}

std::vector<unsigned> worker_cpus(const Patient& patient) {
  const config::Dataplane& dataplane = patient.config.dataplane;
  std::vector<unsigned> out;
  if (!dataplane.lcores.empty()) {
    out = config::parse_lcores(dataplane.lcores).value_or(std::vector<unsigned>{});
  } else {
    out = patient.machine.cpus("/sys/devices/system/cpu/online");
    if (out.size() > 1) out.erase(out.begin());
  }
  out.resize(std::min<size_t>(out.size(), dataplane.workers));
  return out;
}

std::vector<Process> running(const Patient& patient, const std::string& name) {
  std::vector<Process> out = patient.machine.processes();
  const std::string file = patient.path.substr(patient.path.rfind('/') + 1);
  std::erase_if(out, [&](const Process& process) {
    return process.name != name || process.command.find(file) == std::string::npos;
  });
  return out;
}

size_t count_servers(const config::Config& config, bool v4) {
  std::set<config::IpAddress> out;
  for (const config::Pool& pool : config.pools)
    for (const config::Backend& backend : pool.backends)
      if (backend.address.is_v4() == v4) out.insert(backend.address);
  return out.size();
}

}  // namespace sluice::ctl
