// SPDX-License-Identifier: Apache-2.0
//
// Whether a source is blocked, in lists of so many prefixes (the argument): scattered /32 and /24 of IPv4, /64 and /128
// of IPv6, and /32 of IPv4 that lie in crowds of a hundred in a /24. Half of the sources asked for are blocked. One
// after the other, and several at once, as a worker asks for the SYNs of a burst; beside these a binary search over the
// same borders, and the bare lines of memory. And how long control takes to build such a list. With
// --benchmark_enable_random_interleaving and repetitions, disturbances meet all alike.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "controlplane/tables/source_list.h"

namespace sluice::control {
namespace {

constexpr uint64_t kSeed = 7;
constexpr size_t kAsked = 1U << 16;

std::vector<config::IpPrefix> prefixes(size_t count, bool v4, unsigned bits) {
  std::mt19937_64 random(kSeed);
  std::vector<config::IpPrefix> out(count);
  for (config::IpPrefix& prefix : out) {
    uint64_t words[2] = {random(), random()};
    std::memcpy(prefix.address.bytes.data(), words, sizeof words);
    prefix.bits = static_cast<uint8_t>(v4 ? 96 + bits : bits);
    if (v4) {
      std::fill_n(prefix.address.bytes.begin(), 10, uint8_t{0});
      prefix.address.bytes[10] = prefix.address.bytes[11] = 0xff;
    } else {
      prefix.address.bytes[0] = 0x20 | (prefix.address.bytes[0] & 0x0f);
    }
    for (unsigned bit = prefix.bits; bit < 128; bit++) {
      prefix.address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> bit % 8));
    }
  }
  return out;
}

/// Hosts in crowds: of every /24 that has any, a hundred or so.
std::vector<config::IpPrefix> crowded_prefixes(size_t count) {
  std::mt19937_64 random(kSeed + 2);
  std::vector<config::IpPrefix> out = prefixes(count, true, 32);
  for (size_t i = 0; i < count; i++) {
    std::copy_n(out[i - i % 100].address.bytes.begin(), 15, out[i].address.bytes.begin());
    out[i].address.bytes[15] = static_cast<uint8_t>(random());
  }
  return out;
}

/// Half of them in `blocked`, half anywhere.
std::vector<Address> asked(const std::vector<config::IpPrefix>& blocked, bool v4) {
  std::mt19937_64 random(kSeed + 1);
  const auto elsewhere = prefixes(kAsked, v4, v4 ? 32 : 128);
  std::vector<Address> out;
  for (size_t i = 0; i < kAsked; i++) {
    out.push_back({i % 2 == 0 ? blocked[random() % blocked.size()].address.bytes : elsewhere[i].address.bytes});
  }
  return out;
}

void report(benchmark::State& state) {
  const auto items = static_cast<double>(static_cast<uint64_t>(state.iterations()) * kAsked);
  state.counters["per_item"] = benchmark::Counter(items, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void look_up(benchmark::State& state, bool v4, unsigned bits) {
  const auto blocked = prefixes(static_cast<size_t>(state.range(0)), v4, bits);
  const auto list = SourceList::of(blocked, {});
  const auto sources = asked(blocked, v4);
  const channel::SourceListView view{list->layout(), list->image().data()};
  uint64_t sum = 0;
  for (auto _ : state) {
    for (const Address& source : sources) sum += view.contains(source) ? 1 : 0;
    benchmark::DoNotOptimize(sum);
  }
  report(state);
  state.counters["bytes"] = static_cast<double>(list->image().size());
}

/// As a worker asks for the SYNs of a burst.
void look_up_at_once(benchmark::State& state, const std::vector<config::IpPrefix>& blocked, bool v4) {
  const auto list = SourceList::of(blocked, {});
  const auto sources = asked(blocked, v4);
  const channel::SourceListView view{list->layout(), list->image().data()};
  constexpr size_t kAtOnce = channel::SourceListView::kAtOnce;
  static_assert(kAsked % kAtOnce == 0);
  uint64_t sum = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kAsked; i += kAtOnce) {
      std::array<const Address*, kAtOnce> some;
      std::array<bool, kAtOnce> found;
      for (size_t k = 0; k < kAtOnce; k++) some[k] = &sources[i + k];
      view.contains(some, found);
      for (const bool one : found) sum += one ? 1 : 0;
    }
    benchmark::DoNotOptimize(sum);
  }
  report(state);
}

void look_up_at_once(benchmark::State& state, bool v4, unsigned bits) {
  look_up_at_once(state, prefixes(static_cast<size_t>(state.range(0)), v4, bits), v4);
}

void look_up_in_crowds(benchmark::State& state) {
  look_up_at_once(state, crowded_prefixes(static_cast<size_t>(state.range(0))), true);
}

/// What any list of that size has to pay: two random lines of it for each source, prefetched and not used.
void bare_lines(benchmark::State& state, bool v4, unsigned bits) {
  const auto list = SourceList::of(prefixes(static_cast<size_t>(state.range(0)), v4, bits), {});
  const std::span<const std::byte> image = list->image();
  constexpr size_t kLines = 2 * kAsked, kAhead = 32, kLineBytes = 64;
  std::minstd_rand random(kSeed);
  std::vector<uint32_t> lines(kLines + kAhead);
  for (uint32_t& line : lines) line = static_cast<uint32_t>(random() % (image.size() / kLineBytes));
  uint64_t sum = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kLines; i++) {
      __builtin_prefetch(image.data() + size_t{lines[i + kAhead]} * kLineBytes);
      sum += static_cast<uint64_t>(image[size_t{lines[i]} * kLineBytes]);
    }
    benchmark::DoNotOptimize(sum);
  }
  report(state);
}

void binary_search(benchmark::State& state) {
  const auto blocked = prefixes(static_cast<size_t>(state.range(0)), true, 32);
  const auto list = SourceList::of(blocked, {});
  const auto* borders = reinterpret_cast<const uint32_t*>(list->image().data() + list->layout().v4_offset());
  const auto* end = borders + list->layout().v4.keys;
  const auto sources = asked(blocked, true);
  uint64_t sum = 0;
  for (auto _ : state) {
    for (const Address& source : sources)
      sum += (std::upper_bound(borders, end, source.v4_part().host()) - borders) & 1;
    benchmark::DoNotOptimize(sum);
  }
  report(state);
}

void build(benchmark::State& state, bool v4, unsigned bits) {
  const auto blocked = prefixes(static_cast<size_t>(state.range(0)), v4, bits);
  for (auto _ : state) benchmark::DoNotOptimize(SourceList::of(blocked, {}));
}

BENCHMARK_CAPTURE(look_up, v4_32, true, 32)->Name("sources/sluice_v4_32")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up, v4_24, true, 24)->Name("sources/sluice_v4_24")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up, v6_64, false, 64)->Name("sources/sluice_v6_64")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up, v6_128, false, 128)->Name("sources/sluice_v6_128")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up_at_once, v4_32, true, 32)->Name("sources/at_once_v4_32")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up_at_once, v4_24, true, 24)->Name("sources/at_once_v4_24")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up_at_once, v6_64, false, 64)->Name("sources/at_once_v6_64")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(look_up_at_once, v6_128, false, 128)->Name("sources/at_once_v6_128")->Arg(1000)->Arg(1000000);
BENCHMARK(look_up_in_crowds)->Name("sources/at_once_crowded_v4_32")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(bare_lines, v4_32, true, 32)->Name("sources/bound_v4_32")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(bare_lines, v6_128, false, 128)->Name("sources/bound_v6_128")->Arg(1000)->Arg(1000000);
BENCHMARK(binary_search)->Name("sources/binary_search_v4_32")->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(build, v4_32, true, 32)
    ->Name("build_sources/sluice_v4_32")
    ->Arg(1000)
    ->Arg(1000000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build, v6_64, false, 64)
    ->Name("build_sources/sluice_v6_64")
    ->Arg(1000)
    ->Arg(1000000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice::control

BENCHMARK_MAIN();
