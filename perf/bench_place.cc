// SPDX-License-Identifier: Apache-2.0
//
// Which backend a new flow goes to: a Maglev table's look-up, hash included, beside a ring of hashed points (Karger
// et al., STOC 1997) with 100 points per backend, and beside the plain remainder, which moves nearly every flow when
// the number of backends changes. The argument is the count of backends. Building tables is in bench_maglev.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "dataplane/contract/placement.h"
#include "perf/lib/bench.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kTableEntries = 65537;
constexpr uint32_t kPointsPerBackend = 100;
constexpr uint32_t kClients = 1U << 14;

struct Clients {
  std::vector<Endpoint> endpoints;
  Endpoint vip{Address::v4(Be32::of(0xc0000219)), Be16::of(25)};

  Clients() {
    Random random(kBenchSeed);
    for (uint32_t i = 0; i < kClients; i++) {
      endpoints.push_back(client_endpoint(static_cast<uint32_t>(random.next() >> 32), false));
    }
  }
};

/// Runs `place(hash)` for all clients in turn.
template <typename Place>
void run(benchmark::State& state, Place place) {
  const Clients clients;
  uint64_t sum = 0;
  for (auto _ : state) {
    for (const Endpoint& client : clients.endpoints) {
      sum += place(placement_hash(client, clients.vip, channel::HashOn::kConnection));
    }
    benchmark::DoNotOptimize(sum);
  }
  report_per_item(state, kClients);
}

void maglev(benchmark::State& state) {
  std::vector<uint16_t> table(kTableEntries);
  for (uint32_t i = 0; i < kTableEntries; i++) table[i] = static_cast<uint16_t>(i % state.range(0));
  run(state, [&](uint64_t hash) { return table[table_index(hash, kTableEntries)]; });
}

void ring(benchmark::State& state) {
  std::vector<std::pair<uint64_t, uint16_t>> points;
  Random random(kBenchSeed);
  for (uint32_t i = 0; i < state.range(0) * kPointsPerBackend; i++) {
    points.emplace_back(random.next(), static_cast<uint16_t>(i / kPointsPerBackend));
  }
  std::sort(points.begin(), points.end());
  run(state, [&](uint64_t hash) {
    const auto point = std::lower_bound(points.begin(), points.end(), std::pair(hash, uint16_t{0}));
    return point == points.end() ? points.front().second : point->second;
  });
}

void remainder(benchmark::State& state) {
  const auto backends = static_cast<uint64_t>(state.range(0));
  run(state, [&](uint64_t hash) { return hash % backends; });
}

BENCHMARK(maglev)->Name("place/sluice")->Arg(10)->Arg(1000);
BENCHMARK(ring)->Name("place/ring")->Arg(10)->Arg(1000);
BENCHMARK(remainder)->Name("place/remainder")->Arg(10)->Arg(1000);

}  // namespace
}  // namespace sluice::perf

BENCHMARK_MAIN();
