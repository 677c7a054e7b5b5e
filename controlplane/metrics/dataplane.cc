// SPDX-License-Identifier: Apache-2.0
//
// The workers' counters. Their names are the contract's (`kCounterInfo`), so that a new counter is exported without a
// word here; families are made of those that belong together.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "controlplane/metrics/metrics.h"

namespace sluice::control {

using channel::CounterInfo;
using channel::kCounterCount;
using channel::kCounterInfo;

namespace {

constexpr std::string_view kStagePrefix = "stage_", kStageSuffix = "_cycles";

bool is_drop(size_t i) {
  return i >= static_cast<size_t>(channel::kFirstDrop) && i <= static_cast<size_t>(channel::kLastDrop);
}
bool is_stage(size_t i) {
  return kCounterInfo[i].name.starts_with(kStagePrefix) && kCounterInfo[i].name.ends_with(kStageSuffix);
}
bool is_flow_state(size_t i) {
  return kCounterInfo[i].gauge && kCounterInfo[i].name.starts_with("flows_") && kCounterInfo[i].name.ends_with("_now");
}

/// `text` without its first `front` and last `back` characters.
std::string_view inner(std::string_view text, size_t front, size_t back) {
  return text.substr(front, text.size() - front - back);
}

std::string worker_label(size_t worker) {
  return label("worker", std::to_string(worker));
}

/// A family of the counters that `belongs(i)`, told apart by the label `name` with the value `value_of(name of the
/// counter)`.
template <typename Belongs, typename ValueOf>
void write_family(MetricsWriter& writer, std::span<const WorkerCounters> workers, Belongs belongs,
                  std::string_view label_name, ValueOf value_of) {
  for (size_t worker = 0; worker < workers.size(); worker++) {
    for (size_t i = 0; i < kCounterCount; i++) {
      if (!belongs(i)) continue;
      writer.add(worker_label(worker), workers[worker][i], label(label_name, value_of(kCounterInfo[i].name)));
    }
  }
}

void write_one(MetricsWriter& writer, std::span<const WorkerCounters> workers, size_t i) {
  const CounterInfo& info = kCounterInfo[i];
  writer.begin(fmt::format("sluice_worker_{}{}", info.name, info.gauge ? "" : "_total"),
               info.gauge ? MetricType::kGauge : MetricType::kCounter, info.help);
  for (size_t worker = 0; worker < workers.size(); worker++) writer.add(worker_label(worker), workers[worker][i]);
}

}  // namespace

void write_workers(MetricsWriter& writer, std::span<const WorkerCounters> workers) {
  writer.begin("sluice_worker_dropped_packets_total", MetricType::kCounter,
               "packets neither forwarded nor given to the kernel, by reason");
  write_family(writer, workers, is_drop, "reason",
               [](std::string_view name) { return inner(name, std::string_view("drop_").size(), 0); });
  writer.begin("sluice_worker_flows", MetricType::kGauge, "entries of the flow table by state");
  write_family(writer, workers, is_flow_state, "state", [](std::string_view name) {
    return inner(name, std::string_view("flows_").size(), std::string_view("_now").size());
  });
  writer.begin("sluice_worker_stage_cycles_total", MetricType::kCounter,
               "TSC cycles by stage of a worker's loop, in timed poll iterations");
  write_family(writer, workers, is_stage, "stage",
               [](std::string_view name) { return inner(name, kStagePrefix.size(), kStageSuffix.size()); });
  for (size_t i = 0; i < kCounterCount; i++)
    if (!is_drop(i) && !is_flow_state(i) && !is_stage(i)) write_one(writer, workers, i);
}

}  // namespace sluice::control
