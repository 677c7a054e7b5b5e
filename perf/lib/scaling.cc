// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/scaling.h"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "perf/lib/helper_lcore.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

// Bursts that wait for each worker when a round begins: so many poll iterations pass at once on both cores, and
// beginning together to the cycle does not matter.
constexpr uint32_t kDepth = 8;
constexpr uint32_t kLastTurns = 100;

/// One or two workers with their flows.
class Crew {
 public:
  Crew(const ScalingOptions& options, uint32_t workers, bool handed, HelperLcore& helper)
      : options_(options),
        helper_(helper),
        handed_(handed),
        rig_(rig_options(options, workers, handed)),
        choosers_{FlowChooser(options.flows, options.zipf, 7), FlowChooser(options.flows, options.zipf, 11)} {
    std::array<bool, 2> owns{false, workers == 1};
    for (uint32_t n = 0; n < options.flows; n++) owns[rig_.owner(n)] = true;
    if (!owns[0] || !owns[1]) give_up("too few flows for both workers to have some");
    establish(rig_, options.flows);
  }

  /// Cycles of a worker per packet.
  double block() {
    const uint32_t rounds = options_.iterations / kDepth + 1;
    const uint64_t packets = uint64_t{rounds} * kDepth * 2 * WorkerRig::kBurst * rig_.workers();
    const uint64_t wanted = rig_.counter(channel::Counter::kForwarded) + packets;
    std::array<uint64_t, 2> cycles{};
    for (uint32_t round = 0; round < rounds; round++) {
      on_each([&](uint32_t worker) { fill(worker); });
      on_each([&](uint32_t worker) { cycles[worker] += poll(worker, kDepth); });
      on_each([&](uint32_t worker) { rig_.clear(worker); });
    }
    // What was handed over last: more than a burst if one worker was ahead of the other.
    for (uint32_t i = 0; i < kLastTurns && rig_.counter(channel::Counter::kForwarded) != wanted; i++) {
      on_each([&](uint32_t worker) { cycles[worker] += poll(worker, 1); });
    }
    on_each([&](uint32_t worker) { rig_.clear(worker); });
    if (rig_.counter(channel::Counter::kForwarded) != wanted) give_up("packets were not forwarded");
    return static_cast<double>(cycles[0] + cycles[1]) / static_cast<double>(packets);
  }

 private:
  static RigOptions rig_options(const ScalingOptions& options, uint32_t workers, bool handed) {
    RigOptions out;
    out.workers = workers;
    out.steered = !handed && workers > 1;
    out.frame_bytes = options.frame_bytes;
    out.v6 = options.v6;
    out.flow_capacity = std::max(options.flows / workers + options.flows / 16, 1U << 16);
    return out;
  }

  /// Does the same for every worker at once, on its core.
  void on_each(const std::function<void(uint32_t)>& what) {
    const std::function<void()> second = [&] { what(1); };
    if (rig_.workers() == 2) helper_.begin(second);
    what(0);
    if (rig_.workers() == 2) helper_.wait();
  }

  void fill(uint32_t worker) {
    for (uint32_t i = 0; i < kDepth * WorkerRig::kBurst; i++) {
      rig_.client_sends(choose(worker), kTcpAck, 1001, 5001, worker);
      rig_.backend_sends(choose(worker), kTcpAck, 5001, 1001, worker);
    }
  }

  uint32_t choose(uint32_t worker) {
    uint32_t n;
    do {
      n = choosers_[worker].next();
    } while (!handed_ && rig_.owner(n) != worker);
    return n;
  }

  uint64_t poll(uint32_t worker, uint32_t count) {
    uint64_t cycles = 0;
    for (uint32_t i = 0; i < count; i++) cycles += rig_.poll(worker);
    return cycles;
  }

  ScalingOptions options_;
  HelperLcore& helper_;
  bool handed_;  // packets come to either worker
  WorkerRig rig_;
  std::array<FlowChooser, 2> choosers_;
};

}  // namespace

ScalingFigures measure_scaling(const ScalingOptions& options) {
  fprintf(stderr, "%u flows: establishing\n", options.flows);
  HelperLcore helper(options.second_lcore);
  Crew one(options, 1, false, helper);
  Crew by_client(options, 2, false, helper);
  Crew by_chance(options, 2, true, helper);
  std::vector<double> alone, own, own_times, either, either_times;
  for (uint32_t i = 0; i < options.blocks; i++) {
    alone.push_back(one.block());
    own.push_back(by_client.block());
    either.push_back(by_chance.block());
    own_times.push_back(2 * alone.back() / own.back());
    either_times.push_back(2 * alone.back() / either.back());
  }
  return {quartiles(alone), quartiles(own), quartiles(own_times), quartiles(either), quartiles(either_times)};
}

}  // namespace sluice::perf
