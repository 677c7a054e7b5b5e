// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/worker_comparisons.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "perf/lib/flow_kinds.h"
#include "perf/lib/handover.h"
#include "perf/lib/lifecycle.h"
#include "perf/lib/quantile.h"
#include "perf/lib/scaling.h"

namespace sluice::perf {
namespace {

nlohmann::json to_json(const Quartiles& values, double unit) {
  return {{"q1", values.low * unit}, {"median", values.median * unit}, {"q3", values.high * unit}};
}

}  // namespace

void run_handover(const WorkerOptions& options, double ns, nlohmann::json& results) {
  if (!options.json) {
    printf("%12s %10s %18s %10s %18s %10s %8s %8s %18s\n", "flows", "own ns", "(quartiles)", "handed ns", "(quartiles)",
           "added ns", "cycles", "ratio", "(quartiles)");
  }
  for (const uint32_t flows : options.flows) {
    const HandoverFigures f = measure_handover({flows, options.frame_bytes, options.v6, options.zipf, options.blocks,
                                                options.iterations, options.second_lcore});
    results.push_back({{"flows", flows},
                       {"own_ns", f.own.median * ns},
                       {"own_ns_q1", f.own.low * ns},
                       {"own_ns_q3", f.own.high * ns},
                       {"handed_ns", f.handed.median * ns},
                       {"handed_ns_q1", f.handed.low * ns},
                       {"handed_ns_q3", f.handed.high * ns},
                       {"own_cycles", f.own.median},
                       {"handed_cycles", f.handed.median},
                       {"added_ns", f.added.median * ns},
                       {"added_cycles", f.added.median},
                       {"ratio", f.ratio.median},
                       {"ratio_q1", f.ratio.low},
                       {"ratio_q3", f.ratio.high}});
    if (options.json) continue;
    printf("%12u %10.1f   (%6.1f, %6.1f) %10.1f   (%6.1f, %6.1f) %10.1f %8.1f %8.2f   (%6.2f, %6.2f)\n", flows,
           f.own.median * ns, f.own.low * ns, f.own.high * ns, f.handed.median * ns, f.handed.low * ns,
           f.handed.high * ns, f.added.median * ns, f.added.median, f.ratio.median, f.ratio.low, f.ratio.high);
    fflush(stdout);
  }
}

void run_scaling(const WorkerOptions& options, double ns, nlohmann::json& results) {
  if (!options.json) {
    printf("%12s %10s %10s %10s %18s %10s %10s %18s\n", "flows", "one ns", "own ns", "times", "(quartiles)",
           "either ns", "times", "(quartiles)");
  }
  for (const uint32_t flows : options.flows) {
    const ScalingFigures f = measure_scaling({flows, options.frame_bytes, options.v6, options.zipf, options.blocks,
                                              options.iterations, options.second_lcore.value_or(options.lcore)});
    results.push_back({{"flows", flows},
                       {"one_ns", to_json(f.alone, ns)},
                       {"own_ns", to_json(f.own, ns)},
                       {"own_times", to_json(f.own_times, 1)},
                       {"either_ns", to_json(f.either, ns)},
                       {"either_times", to_json(f.either_times, 1)}});
    if (options.json) continue;
    printf("%12u %10.1f %10.1f %10.2f   (%6.2f, %6.2f) %10.1f %10.2f   (%6.2f, %6.2f)\n", flows, f.alone.median * ns,
           f.own.median * ns, f.own_times.median, f.own_times.low, f.own_times.high, f.either.median * ns,
           f.either_times.median, f.either_times.low, f.either_times.high);
    fflush(stdout);
  }
}

void run_records(const WorkerOptions& options, double ns, nlohmann::json& results) {
  if (!options.json) {
    printf("%12s %10s %18s %10s %18s %10s %18s\n", "flows", "lost ns", "(quartiles)", "kept ns", "(quartiles)",
           "added ns", "(quartiles)");
  }
  for (const uint32_t flows : options.flows) {
    const RecordsFigures f =
        measure_records({flows, options.frame_bytes, options.v6, options.blocks, options.iterations});
    results.push_back({{"flows", flows},
                       {"lost_ns", to_json(f.lost, ns)},
                       {"recorded_ns", to_json(f.recorded, ns)},
                       {"added_ns", to_json(f.added, ns)}});
    if (options.json) continue;
    printf("%12u", flows);
    for (const Quartiles& each : {f.lost, f.recorded, f.added}) {
      printf(" %10.1f   (%6.1f, %6.1f)", each.median * ns, each.low * ns, each.high * ns);
    }
    printf("\n");
    fflush(stdout);
  }
}

void run_kinds(const WorkerOptions& options, double ns, nlohmann::json& results) {
  if (!options.json) {
    printf("%12s %12s %10s %10s %18s %8s %18s\n", "flows", "kind", "plain ns", "ns", "(quartiles)", "times",
           "(quartiles)");
  }
  for (const uint32_t flows : options.flows) {
    measure_flow_kinds(
        {flows, options.frame_bytes, options.v6, options.zipf, options.blocks, options.iterations, options.kind},
        [&](const FlowKindFigures& f) {
          results.push_back({{"flows", flows},
                             {"kind", f.kind},
                             {"plain_ns", to_json(f.plain, ns)},
                             {"ns", to_json(f.cycles, ns)},
                             {"times", to_json(f.ratio, 1)}});
          if (options.json) return;
          printf("%12u %12s %10.1f %10.1f   (%6.1f, %6.1f) %8.2f   (%6.2f, %6.2f)\n", flows,
                 std::string(f.kind).c_str(), f.plain.median * ns, f.cycles.median * ns, f.cycles.low * ns,
                 f.cycles.high * ns, f.ratio.median, f.ratio.low, f.ratio.high);
          fflush(stdout);
        });
  }
}

}  // namespace sluice::perf
