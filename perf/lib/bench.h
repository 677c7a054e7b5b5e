// SPDX-License-Identifier: Apache-2.0
//
// What the benchmark programs share. A benchmark is named `operation/contender/size`; the contender
// `sluice` is ours, every other one a baseline in the same run. `perf/bench` prints them side by side.
//
// Environment, so that tests can run everything at toy size:
//   SLUICE_BENCH_FLOWS   flow counts, comma separated (default 1000,1000000,10000000)
//   SLUICE_BENCH_LCORE   CPU to run on (default the last that is allowed)
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace sluice::perf {

inline constexpr uint64_t kBenchSeed = 7;

/// The flow counts to measure at, ascending.
const std::vector<uint32_t>& bench_flows();

/// Registers `run` under `name` once for each flow count (as its argument 0).
void register_for_flows(const char* name, void (*run)(benchmark::State&));

/// The one `T(flows)` of this run, built when first asked for. It stays until the end, as Google Benchmark calls a
/// benchmark many times, in an order of its own.
template <typename T>
T& kept(uint32_t flows) {
  static std::map<uint32_t, std::unique_ptr<T>> all;
  std::unique_ptr<T>& one = all[flows];
  if (!one) one = std::make_unique<T>(flows);
  return *one;
}

/// Adds the counter `per_item`: seconds of CPU per packet, flow or whatever an iteration handles several of.
inline void report_per_item(benchmark::State& state, uint64_t items_per_iteration) {
  const auto items = static_cast<double>(static_cast<uint64_t>(state.iterations()) * items_per_iteration);
  state.counters["per_item"] = benchmark::Counter(items, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// `main` of a benchmark program: starts the EAL with `mb_per_million_flows` for the largest table, then runs all
/// benchmarks.
int bench_main(int argc, char** argv, uint32_t mb_per_million_flows);

}  // namespace sluice::perf
