// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/bench.h"

#include <rte_eal.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kMbForRest = 160;  // packet buffers, rings and what the EAL itself takes

uint32_t last_allowed_cpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  uint32_t last = 0;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &allowed)) last = cpu;
  }
  return last;
}

std::vector<uint32_t> flows_from(const char* text) {
  std::vector<uint32_t> out;
  std::stringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const unsigned long flows = std::strtoul(word.c_str(), nullptr, 10);
    if (flows < 64 || flows > 100'000'000) {
      fprintf(stderr, "SLUICE_BENCH_FLOWS: \"%s\" is not a flow count of 64 to 100000000\n", word.c_str());
      exit(2);
    }
    out.push_back(static_cast<uint32_t>(flows));
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

const std::vector<uint32_t>& bench_flows() {
  static const std::vector<uint32_t> flows = [] {
    const char* text = getenv("SLUICE_BENCH_FLOWS");
    return flows_from(text != nullptr && *text != 0 ? text : "1000,1000000,10000000");
  }();
  return flows;
}

void register_for_flows(const char* name, void (*run)(benchmark::State&)) {
  for (const uint32_t flows : bench_flows()) benchmark::RegisterBenchmark(name, run)->Arg(flows);
}

int bench_main(int argc, char** argv, uint32_t mb_per_million_flows) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const char* lcore = getenv("SLUICE_BENCH_LCORE");
  uint64_t flows = 0;
  for (const uint32_t n : bench_flows()) flows += n;
  const uint64_t mb = flows * mb_per_million_flows / 1'000'000 + kMbForRest;
  const bool huge =
      start_eal(lcore != nullptr ? static_cast<uint32_t>(strtoul(lcore, nullptr, 10)) : last_allowed_cpu(),
                static_cast<uint32_t>(mb));
  benchmark::AddCustomContext("pages", huge ? "2 MiB" : "ordinary");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace sluice::perf
