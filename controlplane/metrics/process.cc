// SPDX-License-Identifier: Apache-2.0
//
// The metrics that Prometheus' client libraries give for every process (their names are the convention), of
// sluice-control itself, from /proc/self. What cannot be read is left out.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "controlplane/metrics/metrics.h"

namespace sluice::control {

namespace {

/// The fields of /proc/self/stat from the third on (the second, the program's name, may hold anything): proc(5).
std::vector<std::string> stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos) return {};
  std::istringstream rest(line.substr(end_of_name + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

double boot_time_seconds() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;) {
    if (word != "btime") continue;
    double seconds = 0;
    file >> seconds;
    return seconds;
  }
  return 0;
}

void write_gauge(MetricsWriter& writer, std::string_view name, std::string_view help, double value) {
  writer.begin(name, MetricType::kGauge, help);
  writer.add("", value);
}

}  // namespace

void write_process(MetricsWriter& writer) {
  constexpr size_t kFirstField = 3, kUserTicks = 14, kSystemTicks = 15, kStartTicks = 22, kResidentPages = 24;
  const std::vector<std::string> fields = stat_fields();
  if (fields.size() <= kResidentPages - kFirstField) return;
  const auto field = [&](size_t number) { return std::stod(fields[number - kFirstField]); };
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  writer.begin("process_cpu_seconds_total", MetricType::kCounter, "processor time that sluice-control has used");
  writer.add("", (field(kUserTicks) + field(kSystemTicks)) / ticks_per_second);
  write_gauge(writer, "process_start_time_seconds", "when sluice-control started, in Unix time",
              boot_time_seconds() + field(kStartTicks) / ticks_per_second);
  write_gauge(writer, "process_resident_memory_bytes", "resident memory of sluice-control",
              field(kResidentPages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  std::error_code error;
  const auto descriptors = std::filesystem::directory_iterator("/proc/self/fd", error);
  if (error) return;
  write_gauge(writer, "process_open_fds", "open descriptors of sluice-control",
              static_cast<double>(std::distance(begin(descriptors), end(descriptors)) - 1));  // less the listing's own
}

}  // namespace sluice::control
