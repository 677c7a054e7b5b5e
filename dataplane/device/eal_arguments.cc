// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/eal_arguments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "dataplane/device/device_string.h"

namespace sluice {

std::vector<std::string> eal_arguments(const DataplaneOptions& options, const LcorePlan& lcores, uint32_t numa_nodes) {
  std::string placement = fmt::format("0@{}", lcores.main_cpu);
  for (uint32_t worker = 0; worker < lcores.worker_cpus.size(); worker++) {
    placement += fmt::format(",{}@{}", worker_lcore(worker), lcores.worker_cpus[worker]);
  }
  std::vector<std::string> arguments{
      "sluice-dataplane", "--no-telemetry", "--file-prefix", "sluice-" + options.instance,
      "--lcores",         placement,        "--main-lcore",  "0"};
  const std::string memory = std::to_string(options.memory_mb);
  // No files in hugetlbfs or the runtime directory, so that a killed process leaves nothing behind. EAL refuses
  // --in-memory beside --no-huge. Huge pages are taken as they are needed, up to a limit, rather than all at once:
  // clearing a gigabyte takes two seconds of every restart.
  if (options.hugepages) {
    std::string limit = memory;
    for (uint32_t node = 1; node < numa_nodes; node++) limit += "," + memory;
    arguments.insert(arguments.end(), {"--in-memory", "--socket-limit", limit});
  } else {
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf", "-m", memory});
  }
  bool any_pci = false;
  for (const PortOptions& port : options.ports) {
    for (const std::string& device : devices_of(port)) {
      if (!is_pci_device(device)) continue;
      arguments.insert(arguments.end(), {"-a", device});
      any_pci = true;
    }
  }
  // Without PCI devices nothing needs physical addresses, and AF_XDP needs each pool in one piece.
  if (!any_pci) arguments.insert(arguments.end(), {"--no-pci", "--iova-mode", "va"});
  return arguments;
}

uint32_t count_numa_nodes() {
  uint32_t nodes = 0;
  while (access(fmt::format("/sys/devices/system/node/node{}", nodes).c_str(), F_OK) == 0) nodes++;
  return std::max(nodes, 1U);
}

}  // namespace sluice
