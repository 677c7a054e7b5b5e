// SPDX-License-Identifier: Apache-2.0
//
// Cost of building a table, beside the paper's algorithm written down as it stands there (NSDI 2016, Pseudocode 1).
#include <benchmark/benchmark.h>

#include <string>

#include "controlplane/tables/maglev.h"

namespace sluice::control {
namespace {

struct Fixture {
  std::vector<std::string> names;
  std::vector<MaglevMember> members;

  Fixture(size_t count, bool weighted) {
    for (size_t i = 0; i < count; i++) names.push_back("backend" + std::to_string(i));
    for (size_t i = 0; i < count; i++) {
      members.push_back({names[i], weighted ? static_cast<uint32_t>(i * 7919 % 100 + 1) : 1});
    }
  }
};

/// Baseline: equal weights, permutations from the same hashes, `entry[]` itself says what is taken.
std::vector<int> build_as_in_the_paper(const std::vector<std::string>& names, uint32_t entries) {
  std::vector<uint64_t> offset, skip, next(names.size());
  for (const std::string& name : names) {
    const Permutation p = permutation_of(name, entries);
    offset.push_back(p.offset);
    skip.push_back(p.skip);
  }
  std::vector<int> entry(entries, -1);
  for (uint32_t n = 0;;) {
    for (size_t i = 0; i < names.size(); i++) {
      uint64_t c = (offset[i] + next[i] * skip[i]) % entries;
      while (entry[c] >= 0) {
        next[i]++;
        c = (offset[i] + next[i] * skip[i]) % entries;
      }
      entry[c] = static_cast<int>(i);
      next[i]++;
      if (++n == entries) return entry;
    }
  }
}

void paper(benchmark::State& state) {
  const Fixture fixture(static_cast<size_t>(state.range(0)), false);
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(build_as_in_the_paper(fixture.names, static_cast<uint32_t>(state.range(1))));
  }
}

void equal_weights(benchmark::State& state) {
  const Fixture fixture(static_cast<size_t>(state.range(0)), false);
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(build_maglev(fixture.members, static_cast<uint32_t>(state.range(1))));
  }
}

void mixed_weights(benchmark::State& state) {
  const Fixture fixture(static_cast<size_t>(state.range(0)), true);
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(build_maglev(fixture.members, static_cast<uint32_t>(state.range(1))));
  }
}

BENCHMARK(paper)->Name("build_table/paper")->Args({3, 65537})->Args({1000, 65537})->Unit(benchmark::kMillisecond);
BENCHMARK(equal_weights)
    ->Name("build_table/sluice")
    ->Args({3, 65537})
    ->Args({1000, 65537})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(mixed_weights)
    ->Name("build_table_mixed_weights/sluice")
    ->Args({3, 65537})
    ->Args({1000, 65537})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice::control

BENCHMARK_MAIN();
