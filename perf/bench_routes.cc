// SPDX-License-Identifier: Apache-2.0
//
// The next hop of an address, by tables of so many scattered routes (the argument; /24 of IPv4, /64 of IPv6) beside a
// default one: ours, DPDK's rte_fib (DIR-24-8) and rte_fib6 (trie) with two-byte hops, asked one address at a time, as
// a worker asks, and DPDK's also for 32 at once. Half of the addresses lie in the routes, half anywhere. What a table
// takes of memory stands beside it. With --benchmark_enable_random_interleaving and repetitions, disturbances meet all
// alike.
#include <benchmark/benchmark.h>
#include <rte_fib.h>
#include <rte_fib6.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "controlplane/tables/server_route_table.h"
#include "perf/lib/worker_rig.h"

namespace sluice::control {
namespace {

constexpr uint64_t kSeed = 7;
constexpr size_t kAsked = 1U << 16;
constexpr uint32_t kHops = 8;
constexpr uint32_t kAtOnce = 32;
constexpr size_t kFibBytes = size_t{2} << 24;  // of the first 24 bits, which both have

void make_v4(config::IpAddress& address) {
  std::fill_n(address.bytes.begin(), 10, uint8_t{0});
  address.bytes[10] = address.bytes[11] = 0xff;
}

config::IpAddress anywhere(std::mt19937_64& random, bool v4) {
  config::IpAddress out;
  uint64_t words[2] = {random(), random()};
  std::memcpy(out.bytes.data(), words, sizeof words);
  if (v4) {
    make_v4(out);
  } else {
    out.bytes[0] = 0x20 | (out.bytes[0] & 0x0f);
  }
  return out;
}

std::vector<RoutedPrefix> routes(size_t count, bool v4) {
  std::mt19937_64 random(kSeed);
  config::IpAddress zero;
  if (v4) make_v4(zero);
  std::vector<RoutedPrefix> out{{{zero, static_cast<uint8_t>(v4 ? 96 : 0)}, 1}};
  for (size_t i = 0; i < count; i++) {
    const auto prefix = config::IpPrefix::of(anywhere(random, v4), v4 ? 120 : 64);
    out.push_back({prefix, static_cast<uint32_t>(2 + i % (kHops - 1))});
  }
  return out;
}

/// Half of them in the routes.
std::vector<Address> asked(const std::vector<RoutedPrefix>& routes, bool v4) {
  std::mt19937_64 random(kSeed + 1);
  std::vector<Address> out;
  for (size_t i = 0; i < kAsked; i++) {
    config::IpAddress address = anywhere(random, v4);
    if (i % 2 == 0) {
      const config::IpPrefix& in = routes[random() % routes.size()].prefix;
      for (size_t byte = 0; byte < in.bits / 8; byte++) address.bytes[byte] = in.address.bytes[byte];
    }
    out.push_back({address.bytes});
  }
  return out;
}

void report(benchmark::State& state, size_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kAsked));
  state.counters["ns"] = benchmark::Counter(static_cast<double>(state.iterations() * kAsked) / 1e9,
                                            benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes"] = static_cast<double>(bytes);
}

void ours(benchmark::State& state, bool v4) {
  const auto prefixes = routes(static_cast<size_t>(state.range(0)), v4);
  const auto ranges = ranges_of(prefixes);
  std::vector<channel::RouteHop> hops(kHops);
  for (uint8_t i = 0; i < kHops; i++) hops[i].mac.bytes[5] = static_cast<uint8_t>(i + 1);
  const std::vector<RouteRange> none;
  const auto table = v4 ? ServerRouteTable::of(ranges, none, hops) : ServerRouteTable::of(none, ranges, hops);
  const channel::ServerRoutesView view{table->layout(), table->image().data()};
  const auto addresses = asked(prefixes, v4);
  uint64_t sum = 0;
  for (auto _ : state) {
    for (const Address& address : addresses) sum += view.find(address)->mac.bytes[5];
    benchmark::DoNotOptimize(sum);
  }
  report(state, table->image().size());
}

void require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "bench_routes: %s failed\n", what);
  exit(1);
}

void fib_v4(benchmark::State& state, uint32_t at_once) {
  const auto prefixes = routes(static_cast<size_t>(state.range(0)), true);
  rte_fib_conf conf{};
  conf.type = RTE_FIB_DIR24_8;
  conf.max_routes = static_cast<int>(prefixes.size()) + 1;
  conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_2B;
  conf.dir24_8.num_tbl8 = 256;
  rte_fib* fib = rte_fib_create("routes", 0, &conf);
  require(fib != nullptr, "rte_fib_create");
  for (const RoutedPrefix& each : prefixes) {
    const uint32_t address = Address{each.prefix.address.bytes}.v4_part().host();
    require(rte_fib_add(fib, address, static_cast<uint8_t>(each.prefix.bits - 96), each.to) == 0, "rte_fib_add");
  }
  std::vector<uint32_t> addresses;
  for (const Address& address : asked(prefixes, true)) addresses.push_back(address.v4_part().host());
  std::array<uint64_t, kAtOnce> hops;
  uint64_t sum = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kAsked; i += at_once) {
      rte_fib_lookup_bulk(fib, &addresses[i], hops.data(), static_cast<int>(at_once));
      for (uint32_t k = 0; k < at_once; k++) sum += hops[k];
    }
    benchmark::DoNotOptimize(sum);
  }
  rte_fib_free(fib);
  report(state, kFibBytes);
}

void fib_v6(benchmark::State& state, uint32_t at_once) {
  const auto prefixes = routes(static_cast<size_t>(state.range(0)), false);
  rte_fib6_conf conf{};
  conf.type = RTE_FIB6_TRIE;
  conf.max_routes = static_cast<int>(prefixes.size()) + 1;
  conf.trie.nh_sz = RTE_FIB6_TRIE_4B;
  conf.trie.num_tbl8 = static_cast<uint32_t>(5 * prefixes.size() + 256);  // five more bytes of each /64
  rte_fib6* fib = rte_fib6_create("routes6", 0, &conf);
  require(fib != nullptr, "rte_fib6_create");
  for (const RoutedPrefix& each : prefixes)
    require(rte_fib6_add(fib, each.prefix.address.bytes.data(), each.prefix.bits, each.to) == 0, "rte_fib6_add");
  std::vector<std::array<uint8_t, 16>> addresses;
  for (const Address& address : asked(prefixes, false)) addresses.push_back(address.bytes);
  std::array<uint64_t, kAtOnce> hops;
  uint64_t sum = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kAsked; i += at_once) {
      rte_fib6_lookup_bulk(fib, reinterpret_cast<uint8_t(*)[16]>(&addresses[i]), hops.data(),
                           static_cast<int>(at_once));
      for (uint32_t k = 0; k < at_once; k++) sum += hops[k];
    }
    benchmark::DoNotOptimize(sum);
  }
  rte_fib6_free(fib);
  report(state, 2 * kFibBytes + size_t{conf.trie.num_tbl8} * 256 * 4);
}

BENCHMARK_CAPTURE(ours, v4, true)->Name("routes/sluice_v4")->Arg(4)->Arg(1000)->Arg(60000);
BENCHMARK_CAPTURE(fib_v4, one, 1)->Name("routes/rte_fib_v4")->Arg(4)->Arg(1000)->Arg(60000);
BENCHMARK_CAPTURE(fib_v4, many, kAtOnce)->Name("routes/rte_fib_v4_at_once")->Arg(4)->Arg(1000)->Arg(60000);
BENCHMARK_CAPTURE(ours, v6, false)->Name("routes/sluice_v6")->Arg(4)->Arg(1000)->Arg(60000);
BENCHMARK_CAPTURE(fib_v6, one, 1)->Name("routes/rte_fib6")->Arg(4)->Arg(1000)->Arg(60000);
BENCHMARK_CAPTURE(fib_v6, many, kAtOnce)->Name("routes/rte_fib6_at_once")->Arg(4)->Arg(1000)->Arg(60000);

}  // namespace
}  // namespace sluice::control

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const char* lcore = getenv("SLUICE_BENCH_LCORE");
  sluice::perf::start_eal(lcore == nullptr ? 0 : static_cast<uint32_t>(atoi(lcore)), 640);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
