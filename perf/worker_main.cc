// SPDX-License-Identifier: Apache-2.0
//
// The whole worker loop on synthetic traffic without a NIC, beside the floor (receive, swap MAC addresses, transmit) on
// the same ring devices in the same run. Both run in turn, block by block; medians over blocks are reported, so drift
// of the machine's speed hits both alike.
#include <rte_cycles.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perf/lib/flow_kinds.h"
#include "perf/lib/lifecycle.h"
#include "perf/lib/memory_bound.h"
#include "perf/lib/quantile.h"
#include "perf/lib/worker_comparisons.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kLinesAhead = 24;  // as many packets ahead the worker fetches their flows

struct Figures {
  double floor_cycles;  // per packet, median over blocks
  double worker_cycles;
  double worker_low, worker_high;                      // quartiles
  double bound_cycles;                                 // of two random lines of the flow table's memory
  double connections;                                  // per second; 0 where the mix has none
  std::vector<std::pair<std::string, double>> stages;  // cycles per packet in each
};

double floor_block(WorkerRig& rig, FlowChooser& chooser, uint32_t iterations) {
  uint64_t cycles = 0;
  for (uint32_t done = 0; done < iterations; done++) {
    for (uint32_t i = 0; i < WorkerRig::kBurst; i++) {
      rig.client_sends(chooser.next(), kTcpAck, 1001, 5001);
      rig.backend_sends(chooser.next(), kTcpAck, 5001, 1001);
    }
    cycles += rig.swap_macs();
    rig.clear();
  }
  return static_cast<double>(cycles) / (2.0 * iterations * WorkerRig::kBurst);
}

double established_block(WorkerRig& rig, FlowChooser& chooser, uint32_t iterations) {
  uint64_t cycles = 0;
  for (uint32_t done = 0; done < iterations; done++) {
    for (uint32_t i = 0; i < WorkerRig::kBurst; i++) {
      rig.client_sends(chooser.next(), kTcpAck, 1001, 5001);
      rig.backend_sends(chooser.next(), kTcpAck, 5001, 1001);
    }
    cycles += rig.poll();
    rig.clear();
  }
  return static_cast<double>(cycles) / (2.0 * iterations * WorkerRig::kBurst);
}

/// SYNs of ever new clients, whose handshakes never complete.
double new_block(WorkerRig& rig, uint32_t& next_client, uint32_t iterations) {
  uint64_t cycles = 0;
  for (uint32_t done = 0; done < iterations; done++) {
    for (uint32_t i = 0; i < WorkerRig::kBurst; i++) rig.client_sends(next_client++, kTcpSyn, 1000, 0);
    cycles += rig.poll();
    rig.clear();
  }
  return static_cast<double>(cycles) / (1.0 * iterations * WorkerRig::kBurst);
}

/// What backends say for themselves, and the answers to it.
double routed_block(WorkerRig& rig, FlowChooser& chooser, const WorkerOptions& options) {
  uint64_t cycles = 0;
  for (uint32_t done = 0; done < options.iterations; done++) {
    for (uint32_t i = 0; i < WorkerRig::kBurst; i++) {
      const uint32_t n = chooser.next();
      rig.server_speaks(n, outside_endpoint(n, options.v6));
      rig.server_hears(n, outside_endpoint(chooser.next(), options.v6));
    }
    cycles += rig.poll();
    rig.clear();
  }
  return static_cast<double>(cycles) / (2.0 * options.iterations * WorkerRig::kBurst);
}

/// Until the worker is behind, and drops as many SYNs as it ever does.
void fall_behind(WorkerRig& rig, uint32_t& next_client) {
  constexpr uint32_t kRounds = 2 * SynShedder::kMost / SynShedder::kStep;
  for (uint32_t round = 0; round < kRounds; round++) {
    new_block(rig, next_client, 8);
    rig.set_time_ms(rig.time_ms() + SynShedder::kJudgeMs);
  }
}

/// The worker's own stage counters, of the poll iterations that it timed.
class Stages {
 public:
  explicit Stages(const WorkerRig& rig) : rig_(rig) {
    for (size_t i = 0; i < before_.size(); i++) before_[i] = rig.counter(static_cast<channel::Counter>(i));
  }

  /// Cycles per packet in each stage since construction; empty if no iteration was timed.
  std::vector<std::pair<std::string, double>> since() const {
    using channel::Counter;
    std::vector<std::pair<std::string, double>> out;
    const double packets = grown(Counter::kSampledPackets);
    if (packets == 0) return out;
    for (auto i = static_cast<size_t>(Counter::kStagePollControl); i <= static_cast<size_t>(Counter::kStageExpireSome);
         i++) {
      std::string name(channel::kCounterInfo[i].name);  // stage_NAME_cycles
      name = name.substr(6, name.rfind('_') - 6);
      out.emplace_back(name, grown(static_cast<Counter>(i)) / packets);
    }
    return out;
  }

 private:
  double grown(channel::Counter counter) const {
    return static_cast<double>(rig_.counter(counter) - before_[static_cast<size_t>(counter)]);
  }

  const WorkerRig& rig_;
  std::array<uint64_t, channel::kCounterCount> before_;
};

Figures measure(const WorkerOptions& options, uint32_t flows) {
  RigOptions rig_options;
  rig_options.frame_bytes = options.frame_bytes;
  rig_options.v6 = options.v6;
  if (options.mix == "cookies") rig_options.syn_proxy = channel::SynProxy::kAlways;
  if (options.mix == "shed") rig_options.receive_descriptors = WorkerRig::kBurst;
  rig_options.flow_capacity = std::max(flows + flows / 16, 1U << 16);
  WorkerRig rig(rig_options);
  FlowChooser chooser(flows, options.zipf, 7);
  uint32_t next_client = 0;
  if (options.mix == "established") {
    fprintf(stderr, "%u flows: establishing\n", flows);
    establish(rig, flows);
  }
  if (options.mix == "shed") fall_behind(rig, next_client);
  if (options.mix == "routed") rig.route_servers(options.routes);
  const Stages stages(rig);
  MemoryBound memory(rig.flow_memory(), kLinesAhead);
  std::vector<double> floor, worker, bound;
  for (uint32_t block = 0; block < options.blocks; block++) {
    floor.push_back(floor_block(rig, chooser, options.iterations));
    bound.push_back(2 * memory.cycles_per_line(options.iterations * WorkerRig::kBurst));
    if (options.mix == "established") {
      worker.push_back(established_block(rig, chooser, options.iterations));
    } else if (options.mix == "routed") {
      worker.push_back(routed_block(rig, chooser, options));
    } else if (options.mix == "new" || options.mix == "cookies" || options.mix == "shed") {
      worker.push_back(new_block(rig, next_client, options.iterations));
    } else {
      worker.push_back(lifecycle_block(rig, next_client, options.iterations));
    }
  }

  const double drops =
      static_cast<double>(rig.counter(channel::Counter::kReceived) - rig.counter(channel::Counter::kForwarded));
  const uint64_t answered = rig.counter(channel::Counter::kSynCookiesSent);
  if (options.mix == "cookies" && answered != rig.counter(channel::Counter::kReceived)) {
    fprintf(stderr, "error: not every SYN was answered, the figures mean nothing\n");
    exit(1);
  }
  if (options.mix == "shed" && rig.counter(channel::Counter::kDropSynShed) == 0) {
    fprintf(stderr, "error: no SYN was dropped, the figures mean nothing\n");
    exit(1);
  }
  if (options.mix == "routed" && rig.counter(channel::Counter::kRoutedOut) + rig.counter(channel::Counter::kRoutedIn) !=
                                     2ULL * options.blocks * options.iterations * WorkerRig::kBurst) {
    fprintf(stderr, "error: not every packet was routed, the figures mean nothing\n");
    exit(1);
  }
  if (options.mix == "established" && drops != 0) {
    fprintf(stderr, "error: %.0f packets were not forwarded, the figures mean nothing\n", drops);
    exit(1);
  }
  Figures out{quantile(floor, 0.5),   quantile(worker, 0.5), quantile(worker, 0.25),
              quantile(worker, 0.75), quantile(bound, 0.5),  0,
              stages.since()};
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  if (options.mix == "new" || options.mix == "cookies" || options.mix == "shed")
    out.connections = hz / out.worker_cycles;
  if (options.mix == "lifecycle") out.connections = hz / (kPacketsPerConnection * out.worker_cycles);
  return out;
}

double bytes_per_flow(uint32_t flows) {
  const uint32_t capacity = std::max(flows + flows / 16, 1U << 16);
  return static_cast<double>(uint64_t{bucket_count(capacity)} * sizeof(FlowBucket) +
                             uint64_t{capacity} * (sizeof(Flow) + sizeof(channel::SessionNotes) + sizeof(Splice))) /
         capacity;
}

nlohmann::json to_json(uint32_t flows, const Figures& f, double ns) {
  nlohmann::json stages = nlohmann::json::object();
  for (const auto& [name, cycles] : f.stages) stages[name] = cycles;
  return {{"flows", flows},
          {"floor_ns", f.floor_cycles * ns},
          {"worker_ns", f.worker_cycles * ns},
          {"worker_ns_q1", f.worker_low * ns},
          {"worker_ns_q3", f.worker_high * ns},
          {"added_ns", (f.worker_cycles - f.floor_cycles) * ns},
          {"bound_ns", f.bound_cycles * ns},
          {"worker_cycles", f.worker_cycles},
          {"mpps", 1e3 / (f.worker_cycles * ns)},
          {"connections_per_second", f.connections},
          {"bytes_per_flow", bytes_per_flow(flows)},
          {"stage_cycles", stages}};
}

void print_row(uint32_t flows, const Figures& f, double ns) {
  printf("%12u %10.1f %10.1f   (%6.1f, %6.1f) %10.1f %10.1f %8.1f %8.1f %14.0f %10.1f\n", flows, f.floor_cycles * ns,
         f.worker_cycles * ns, f.worker_low * ns, f.worker_high * ns, (f.worker_cycles - f.floor_cycles) * ns,
         f.bound_cycles * ns, f.worker_cycles, 1e3 / (f.worker_cycles * ns), f.connections, bytes_per_flow(flows));
  if (!f.stages.empty()) printf("%12s cycles:", "");
  for (const auto& [name, cycles] : f.stages) printf("  %s %.1f", name.c_str(), cycles);
  printf("\n");
  fflush(stdout);
}

std::string what_is_sent(const WorkerOptions& options) {
  return std::to_string(options.frame_bytes + 4) + "-byte frames, " + (options.v6 ? "IPv6" : "IPv4") + ", " +
         (options.zipf ? "Zipf" : "uniform");
}

/// Measures at each number of flows, and prints rows or collects JSON.
void run_mix(const WorkerOptions& options, double ns, nlohmann::json& results) {
  if (!options.json) {
    printf("%12s %10s %10s %18s %10s %10s %8s %8s %14s %10s\n", "flows", "floor ns", "worker ns", "(quartiles)",
           "added ns", "bound ns", "cycles", "Mpps", "connections/s", "B/flow");
  }
  for (const uint32_t flows : options.flows) {
    const Figures f = measure(options, flows);
    results.push_back(to_json(flows, f, ns));
    if (!options.json) print_row(flows, f, ns);
  }
}

std::string what_is_measured(const WorkerOptions& options) {
  if (options.scaling) return "one worker and two at once";
  if (options.kinds) return "established flows of every kind beside plain NAT";
  if (options.records) return "whole connections with and without records";
  if (!options.handover) return options.mix;
  return options.second_lcore ? "handover between two cores" : "handover on one core";
}

int run(const WorkerOptions& options) {
  const uint64_t largest = *std::max_element(options.flows.begin(), options.flows.end());
  const bool huge =
      start_eal(options.lcore, static_cast<uint32_t>(flow_memory_bytes(static_cast<uint32_t>(largest)) >> 20) + 128,
                options.second_lcore);
  const double ns = 1e9 / static_cast<double>(rte_get_tsc_hz());
  const std::string mix = what_is_measured(options);
  nlohmann::json report = {{"mix", mix},
                           {"frame_bytes", options.frame_bytes + 4},
                           {"family", options.v6 ? "ipv6" : "ipv4"},
                           {"distribution", options.zipf ? "zipf" : "uniform"},
                           {"huge_pages", huge},
                           {"tsc_ghz", 1 / ns},
                           {"results", nlohmann::json::array()}};
  if (!options.json) {
    printf("%s, %s, %s pages, TSC %.2f GHz\n", mix.c_str(), what_is_sent(options).c_str(), huge ? "2 MiB" : "ordinary",
           1 / ns);
  }
  const auto measure_all = options.handover  ? run_handover
                           : options.scaling ? run_scaling
                           : options.records ? run_records
                           : options.kinds   ? run_kinds
                                             : run_mix;
  measure_all(options, ns, report["results"]);
  if (options.json) printf("%s\n", report.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) try {
  sluice::perf::WorkerOptions options;
  CLI::App app{"Measures a Sluice worker on synthetic traffic, without a NIC."};
  app.add_option("--flows", options.flows, "flow counts to measure at");
  app.add_option("--mix", options.mix, "traffic")
      ->check(CLI::IsMember({"established", "new", "cookies", "shed", "lifecycle", "routed"}));
  app.add_option("--routes", options.routes, "with --mix routed: prefixes that the outside is reached by")
      ->check(CLI::Range(0, 65000));
  app.add_option("--frame-bytes", options.frame_bytes, "frame without its check sequence")->check(CLI::Range(60, 1514));
  app.add_flag("--v6", options.v6, "IPv6");
  app.add_flag("--zipf", options.zipf, "popularity of flows by Zipf's law instead of uniform");
  app.add_option("--blocks", options.blocks, "measured blocks of each, in turn")->check(CLI::Range(1, 10000));
  app.add_option("--iterations", options.iterations, "poll iterations per block")->check(CLI::Range(1, 1000000));
  app.add_option("--lcore", options.lcore, "core to run on");
  auto* handover = app.add_flag("--handover", options.handover,
                                "two workers, packets of established flows: handed over by the worker that receives "
                                "them to the one that has their flow, beside received by that one");
  auto* scaling = app.add_flag("--scaling", options.scaling,
                               "one worker beside two at once, packets of established flows: received by the one that "
                               "has their flow, and by either");
  handover->excludes("--mix");
  scaling->excludes("--mix")->excludes(handover);
  auto* records =
      app.add_flag("--records", options.records,
                   "whole connections: each leaves a record, beside none does as the ring is full; ns are of a "
                   "connection")
          ->excludes("--mix")
          ->excludes(handover)
          ->excludes(scaling);
  auto* kinds =
      app.add_flag("--kinds", options.kinds,
                   "packets of established flows of every kind (VLAN, PROXY, SYN cookie, fullnat, dsr, tunnels), each "
                   "beside plain NAT");
  app.add_option("--kind", options.kind, "with --kinds: of this one")
      ->check(CLI::IsMember(sluice::perf::flow_kinds()))
      ->needs(kinds);
  kinds->excludes("--mix")->excludes(handover)->excludes(scaling)->excludes(records);
  auto* second = app.add_option("--second-lcore", options.second_lcore,
                                "the second worker's core; with --handover alone: both are on one, in turn");
  scaling->needs(second);
  app.add_flag("--json", options.json, "report as JSON");
  CLI11_PARSE(app, argc, argv);
  return sluice::perf::run(options);
} catch (const std::exception& error) {
  fprintf(stderr, "perf_worker: %s\n", error.what());
  return 1;
}
