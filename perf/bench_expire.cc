// SPDX-License-Identifier: Apache-2.0
//
// The sweep that finds idle flows, a part in every poll iteration of a worker. `sweep`: cost of a visit to a flow that
// lives, beside reading the deadlines of an array of flows from end to end. `expire`: cost of a flow whose time has
// come, beside std::unordered_map, every entry of which is visited and erased.
#include <rte_cycles.h>

#include <unordered_map>

#include "dataplane/packet/sequence.h"
#include "perf/lib/bench.h"
#include "perf/lib/flow_keys.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kVisitsPerTurn = 256;  // the worker's own limit
constexpr uint32_t kSweepMs = 2000;       // within which it visits every flow
constexpr uint32_t kTurns = 40'000;

RigOptions rig_options(uint32_t flows) {
  RigOptions out;
  out.flow_capacity = std::max(flows + flows / 16, 1U << 12);
  out.timers.established_ms = 2'000'000'000;
  return out;
}

struct Rig {
  WorkerRig rig;
  uint64_t step_ms;  // of the clock, for a whole iteration's visits

  explicit Rig(uint32_t flows) : rig(rig_options(flows)), step_ms(kVisitsPerTurn * kSweepMs / flows + 1) {
    establish(rig, flows);
  }
};

/// The expiring part of poll iterations in which nothing else happens.
void sluice_sweep(benchmark::State& state) {
  Rig& kept_rig = kept<Rig>(static_cast<uint32_t>(state.range(0)));
  WorkerRig& rig = kept_rig.rig;
  for (auto _ : state) {
    rig.set_time_ms(rig.time_ms() + kept_rig.step_ms);
    rig.poll();
  }
  if (rig.counter(channel::Counter::kFlowsExpired) != 0) state.SkipWithError("flows expired that should not");
  report_per_item(state, kVisitsPerTurn);
}

struct Array {
  Flow* flows;
  uint32_t hand = 0;

  explicit Array(uint32_t n) : flows(reinterpret_cast<Flow*>(map_memory(sizeof(Flow) * uint64_t{n}))) {
    for (uint32_t i = 0; i < n; i++) flows[i].deadline_ms = 2'000'000'000;
  }
};

void array_sweep(benchmark::State& state) {
  const auto n = static_cast<uint32_t>(state.range(0));
  Array& array = kept<Array>(n);
  uint32_t now_ms = 0, due = 0;
  for (auto _ : state) {
    now_ms++;
    for (uint32_t i = 0; i < kVisitsPerTurn; i++) {
      due += is_due(array.flows[array.hand].deadline_ms, now_ms & 0xffff);
      if (++array.hand == n) array.hand = 0;
    }
    benchmark::DoNotOptimize(due);
  }
  report_per_item(state, kVisitsPerTurn);
}

void sluice_expire(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  WorkerRig rig(rig_options(flows));
  for (auto _ : state) {
    const uint64_t before = rig.counter(channel::Counter::kFlowsExpired);
    establish(rig, flows);
    rig.set_time_ms(rig.time_ms() + 2'000'000'001);
    uint64_t cycles = 0;
    while (rig.counter(channel::Counter::kFlowsExpired) - before < flows) {
      cycles += rig.poll();
      rig.set_time_ms(rig.time_ms() + 1);
    }
    state.SetIterationTime(static_cast<double>(cycles) / static_cast<double>(rte_get_tsc_hz()));
  }
  report_per_item(state, flows);
}

void unordered_map_expire(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    std::unordered_map<PlainKey, Flow, PlainKeyHash> map;
    map.reserve(flows);
    for (uint32_t i = 0; i < flows; i++) map[PlainKey::of(client_endpoint(i, false))].deadline_ms = i;
    const uint64_t begin = rte_rdtsc_precise();
    std::erase_if(map, [&](const auto& entry) { return is_due(entry.second.deadline_ms, flows); });
    state.SetIterationTime(static_cast<double>(rte_rdtsc_precise() - begin) / static_cast<double>(rte_get_tsc_hz()));
    if (!map.empty()) state.SkipWithError("flows were left over");
  }
  report_per_item(state, flows);
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  using namespace sluice::perf;
  for (const uint32_t flows : bench_flows()) {
    // A count, not a time: the worker's clock moves with every iteration, and must not reach the flows' deadline.
    benchmark::RegisterBenchmark("sweep/sluice", sluice_sweep)->Arg(flows)->Iterations(kTurns);
    benchmark::RegisterBenchmark("sweep/array", array_sweep)->Arg(flows)->Iterations(kTurns);
    if (flows > 1'000'000) continue;  // an iteration fills and empties the table
    benchmark::RegisterBenchmark("expire/sluice", sluice_expire)->Arg(flows)->UseManualTime();
    benchmark::RegisterBenchmark("expire/unordered_map", unordered_map_expire)->Arg(flows)->UseManualTime();
  }
  return bench_main(argc, argv, 0);
}
