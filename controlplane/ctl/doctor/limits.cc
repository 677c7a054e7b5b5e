// SPDX-License-Identifier: Apache-2.0
//
// Descriptors for the checks, and room for what is written down.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <set>
#include <sstream>
#include <tuple>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

namespace {

constexpr uint64_t kOwnFiles = 512;  // of control beside its checks: clients of the API, mappings, logs
constexpr uint64_t kMib = 1 << 20;
constexpr uint64_t kEnoughMib = 1024;
constexpr uint64_t kLeastMib = 64;

/// Connections that checks may have open at once: one to each endpoint.
size_t count_probes(const config::Config& config) {
  std::set<std::tuple<config::IpAddress, uint16_t, std::string>> out;
  for (const config::Service& service : config.services_and_routes()) {
    const config::Pool* pool = config.find_pool(service.pool);
    if (pool == nullptr) continue;
    const std::string check = service.check.empty() ? pool->check : service.check;
    for (const config::Backend& backend : pool->backends)
      out.emplace(backend.address, backend.port.value_or(service.port), check);
  }
  return out.size();
}

/// The hard limit, to which control raises its own, from "Max open files  1024  65536  files".
std::optional<uint64_t> most_files(const std::string& limits) {
  std::istringstream lines(limits);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kName = "Max open files";
    if (!line.starts_with(kName)) continue;
    std::istringstream words(line.substr(kName.size()));
    std::string soft, hard;
    words >> soft >> hard;
    uint64_t out = 0;
    const auto [end, error] = std::from_chars(hard.data(), hard.data() + hard.size(), out);
    return error == std::errc() ? std::optional(out) : hard == "unlimited" ? std::optional(UINT64_MAX) : std::nullopt;
  }
  return std::nullopt;
}

void examine_files(const Patient& patient, Report& report) {
  const auto control = running(patient, "sluice-control");
  const std::string who = control.empty() ? "this shell" : fmt::format("sluice-control ({})", control[0].pid);
  const std::string process = control.empty() ? "self" : std::to_string(control[0].pid);
  const auto limits = patient.machine.text("/proc/" + process + "/limits");
  const auto most = limits ? most_files(*limits) : std::nullopt;
  if (!most) return;
  const size_t probes = count_probes(patient.config);
  const uint64_t wanted = probes + kOwnFiles;
  // What a shell may have says nothing of the unit.
  const Remedies remedies =
      control.empty() ? Remedies{} : Remedies{{Remedy::Kind::kControlUnit, "LimitNOFILE", std::to_string(2 * wanted)}};
  if (*most <= probes)
    report.fail("open files", fmt::format("{} may have {}, and checks alone take {}", who, *most, probes),
                fmt::format("LimitNOFILE={} in its unit, or ulimit -n", 2 * wanted), remedies);
  else if (*most < wanted)
    report.warn("open files", fmt::format("{} may have {}; with {} checks it may take {}", who, *most, probes, wanted),
                fmt::format("LimitNOFILE={} in its unit, or ulimit -n", 2 * wanted), remedies);
  else
    report.ok("open files", fmt::format("{} may have {}, {} are wanted", who, *most, wanted));
}

void examine_disk(const Patient& patient, const std::string& topic, const std::filesystem::path& directory,
                  Report& report) {
  std::filesystem::path place = directory;
  while (!patient.machine.has(place) && place.has_relative_path()) place = place.parent_path();
  const auto free = patient.machine.free_bytes(place);
  if (!free) return;
  const uint64_t mib = *free / kMib;
  const std::string found = fmt::format("{} MiB are free at {}", mib, place.string());
  if (mib < kLeastMib)
    report.fail(topic, found, "make room, or name another place");
  else if (mib < kEnoughMib)
    report.warn(topic, found, "make room");
  else
    report.ok(topic, found);
}

}  // namespace

void examine_limits(const Patient& patient, Report& report) {
  examine_files(patient, report);
  examine_disk(patient, "disk of the state", patient.config.control.state, report);
  constexpr std::string_view kFile = "file:";
  const std::string& records = patient.config.records.to;
  if (records.starts_with(kFile))
    examine_disk(patient, "disk of the records", std::filesystem::path(records.substr(kFile.size())).parent_path(),
                 report);
}

}  // namespace sluice::ctl
