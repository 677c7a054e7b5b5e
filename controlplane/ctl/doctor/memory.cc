// SPDX-License-Identifier: Apache-2.0
//
// Huge pages: enough of them, and on the node of the card.
#include <fmt/format.h>

#include <charconv>
#include <set>

#include "config/schema/devices.h"
#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

constexpr const char* kTopic = "huge pages";

/// MiB in files of `name` ("free_hugepages") over all sizes below `directory`.
uint64_t mebibytes(const Machine& machine, const std::string& directory, const std::string& name) {
  constexpr std::string_view kPrefix = "hugepages-";
  uint64_t kib = 0;
  for (const std::string& entry : machine.entries(directory)) {
    if (!entry.starts_with(kPrefix)) continue;
    uint64_t size = 0;
    std::from_chars(entry.data() + kPrefix.size(), entry.data() + entry.size(), size);
    kib += size * machine.number(fmt::format("{}/{}/{}", directory, entry, name)).value_or(0);
  }
  return kib / 1024;
}

/// The node of a card; nothing where there is but one, or it is not told.
std::optional<uint64_t> node_of(const Machine& machine, const std::string& device) {
  const std::string address = config::pci_address(device);
  if (address.empty() || !machine.has("/sys/devices/system/node/node1")) return std::nullopt;
  return machine.number("/sys/bus/pci/devices/" + address + "/numa_node");  // "-1" is no number of ours
}

/// The nodes of the cards under a port, each once.
std::set<uint64_t> nodes_of(const Machine& machine, const config::Port& port) {
  std::set<uint64_t> out;
  for (const std::string& device : config::devices_of(port))
    if (const auto node = node_of(machine, device)) out.insert(*node);
  return out;
}

void examine_node(const Patient& patient, const std::string& topic, uint64_t node, Report& report) {
  const Machine& machine = patient.machine;
  const std::string directory = fmt::format("/sys/devices/system/node/node{}", node);
  std::string far;
  for (const unsigned cpu : worker_cpus(patient))
    if (!machine.has(fmt::format("{}/cpu{}", directory, cpu))) far += fmt::format("{}{}", far.empty() ? "" : ",", cpu);
  if (!far.empty())
    report.warn(topic, fmt::format("the card is on node {}, and cores {} are not", node, far),
                fmt::format("choose dataplane.lcores from {}/cpulist", directory));
  else if (mebibytes(machine, directory + "/hugepages", "nr_hugepages") == 0)
    report.warn(topic, fmt::format("the card is on node {}, which has no huge pages", node),
                fmt::format("reserve them there: {}/hugepages/hugepages-2048kB/nr_hugepages", directory));
  else
    report.ok(topic, fmt::format("card, cores and huge pages are on node {}", node));
}

void examine_nodes(const Patient& patient, Report& report) {
  for (const config::Port& port : patient.config.dataplane.ports)
    for (const uint64_t node : nodes_of(patient.machine, port))
      examine_node(patient, "NUMA, port " + port.name, node, report);
}

/// Whether "vm.nr_hugepages" counts pages of 2 MiB: it is about those of the kernel's default size.
bool counts_two_mebibytes(const Machine& machine) {
  const std::string text = machine.text("/proc/meminfo").value_or("");
  const size_t at = text.find("Hugepagesize:");
  return at == std::string::npos || text.substr(at, text.find('\n', at) - at).ends_with(" 2048 kB");
}

/// What keeps the pages that are there now.
Remedies as_now(const Machine& machine, const std::string& directory) {
  const uint64_t pages = machine.number(directory + "/hugepages-2048kB/nr_hugepages").value_or(0);
  if (pages == 0 || !counts_two_mebibytes(machine)) return {};
  return {{Remedy::Kind::kSysctl, "vm.nr_hugepages", std::to_string(pages)}};
}

}  // namespace

void examine_memory(const Patient& patient, Report& report) {
  const config::Dataplane& dataplane = patient.config.dataplane;
  if (!dataplane.hugepages) return report.ok(kTopic, "none are wanted (dataplane.hugepages = false)");
  const std::string directory = "/sys/kernel/mm/hugepages";
  const uint64_t total = mebibytes(patient.machine, directory, "nr_hugepages");
  const uint64_t free = mebibytes(patient.machine, directory, "free_hugepages");
  const bool runs = !running(patient, "sluice-dataplane").empty();
  if (runs && total > 0)
    report.ok(kTopic, fmt::format("{} MiB, {} MiB of them free, and sluice-dataplane runs", total, free),
              as_now(patient.machine, directory));
  else if (free < dataplane.memory_mb) {
    const uint64_t pages = (total - free) / 2 + (dataplane.memory_mb + 1) / 2 + 64;
    report.fail(kTopic,
                fmt::format("{} MiB are free of {} MiB, memory_mb = {} are wanted", free, total, dataplane.memory_mb),
                fmt::format("sysctl vm.nr_hugepages={} (pages of 2 MiB), best at boot: hugepages={}", pages, pages),
                counts_two_mebibytes(patient.machine)
                    ? Remedies{{Remedy::Kind::kSysctl, "vm.nr_hugepages", std::to_string(pages)}}
                    : Remedies{});
  } else {
    report.ok(kTopic, fmt::format("{} MiB are free, {} MiB are wanted", free, dataplane.memory_mb),
              as_now(patient.machine, directory));
  }
  examine_nodes(patient, report);
}

}  // namespace sluice::ctl
