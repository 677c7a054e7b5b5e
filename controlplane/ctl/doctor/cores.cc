// SPDX-License-Identifier: Apache-2.0
//
// The CPUs of the workers: whether they are theirs alone, and run at their speed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

constexpr const char* kCpus = "/sys/devices/system/cpu/";
constexpr size_t kMostNames = 5;

/// Those of `some` that are not among `others`.
std::vector<unsigned> without(std::vector<unsigned> some, const std::vector<unsigned>& others) {
  std::erase_if(some, [&](unsigned cpu) { return std::ranges::find(others, cpu) != others.end(); });
  return some;
}

std::string list(const std::vector<unsigned>& cpus) {
  return fmt::format("{}", fmt::join(cpus, ","));
}

void examine_isolation(const Machine& machine, const std::vector<unsigned>& cpus, Report& report) {
  const auto shared = without(cpus, machine.cpus(std::string(kCpus) + "isolated"));
  const auto ticked = without(cpus, machine.cpus(std::string(kCpus) + "nohz_full"));
  // All in one go: each takes a reboot.
  Remedies remedies;
  if (!shared.empty()) remedies.push_back({Remedy::Kind::kBoot, "isolcpus", list(cpus)});
  if (!ticked.empty()) {
    remedies.push_back({Remedy::Kind::kBoot, "nohz_full", list(cpus)});
    remedies.push_back({Remedy::Kind::kBoot, "rcu_nocbs", list(cpus)});
  }
  if (!shared.empty())
    report.warn(
        "cores", fmt::format("the kernel gives cores {} to others, too", list(shared)),
        fmt::format("boot with isolcpus={} (idle = \"pause\" or \"sleep\" suits cores that are shared)", list(cpus)),
        remedies);
  else
    report.ok("cores", fmt::format("{} are isolated", list(cpus)));
  if (!ticked.empty() && shared.empty())
    report.warn("timer tick", fmt::format("interrupts the workers on cores {}", list(ticked)),
                fmt::format("boot with nohz_full={} rcu_nocbs={}", list(cpus), list(cpus)), remedies);
  else if (ticked.empty())
    report.ok("timer tick", "none on the workers' cores");
}

/// Who was put there: may run on cores of workers and on no other.
void examine_neighbours(const Machine& machine, const std::vector<unsigned>& cpus, Report& report) {
  std::vector<std::string> names;
  size_t count = 0;
  for (const Process& process : machine.processes()) {
    if (process.name == "sluice-dataplane" || process.cpus.empty() || !without(process.cpus, cpus).empty()) continue;
    if (count++ < kMostNames) names.push_back(fmt::format("{} ({})", process.name, process.pid));
  }
  if (count == 0) return report.ok("other processes", fmt::format("none is bound to cores {}", list(cpus)));
  report.warn("other processes",
              fmt::format("{} bound to the workers' cores: {}{}", count, fmt::join(names, ", "),
                          count > kMostNames ? ", ..." : ""),
              "give them other cores: taskset -p, or CPUAffinity= of their units");
}

void examine_frequency(const Machine& machine, const std::vector<unsigned>& cpus, Report& report) {
  std::vector<unsigned> slow;
  std::string governor;
  for (const unsigned cpu : cpus) {
    const auto found = machine.text(fmt::format("{}cpu{}/cpufreq/scaling_governor", kCpus, cpu));
    if (!found || *found == "performance") continue;
    governor = *found;
    slow.push_back(cpu);
  }
  if (slow.empty()) return report.ok("CPU frequency", "not lowered by the kernel");
  report.warn("CPU frequency", fmt::format("the governor of cores {} is \"{}\"", list(slow), governor),
              "cpupower frequency-set -g performance");
}

}  // namespace

void examine_cores(const Patient& patient, Report& report) {
  const Machine& machine = patient.machine;
  const std::vector<unsigned> cpus = worker_cpus(patient);
  const auto absent = without(cpus, machine.cpus(std::string(kCpus) + "online"));
  if (!absent.empty())
    return report.fail("cores", fmt::format("{} of dataplane.lcores are not online", list(absent)),
                       fmt::format("allowed: {}", machine.text(std::string(kCpus) + "online").value_or("none")));
  if (cpus.size() < patient.config.dataplane.workers)
    return report.fail("cores", fmt::format("{} for {} workers", cpus.size(), patient.config.dataplane.workers),
                       "lower dataplane.workers, or name as many cores in dataplane.lcores");
  if (patient.config.dataplane.idle == config::Idle::kPoll)
    examine_isolation(machine, cpus, report);
  else
    report.ok("cores", fmt::format("workers on {} give them away when idle (dataplane.idle)", list(cpus)));
  examine_neighbours(machine, cpus, report);
  examine_frequency(machine, cpus, report);
}

}  // namespace sluice::ctl
