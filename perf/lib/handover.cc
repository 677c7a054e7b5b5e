// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/handover.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "perf/lib/helper_lcore.h"
#include "perf/lib/quantile.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kWorkers = 2;

class Measurement {
 public:
  explicit Measurement(const HandoverOptions& options)
      : options_(options),
        rig_(rig_options(options)),
        choosers_{FlowChooser(options.flows, options.zipf, 7), FlowChooser(options.flows, options.zipf, 11)} {
    std::array<bool, kWorkers> owns{};
    for (uint32_t n = 0; n < options.flows; n++) owns[rig_.owner(n)] = true;
    if (!owns[0] || !owns[1]) give_up("too few flows for both workers to have some");
    if (options.second_lcore) helper_.emplace(*options.second_lcore);
    establish(rig_, options.flows);
  }

  /// Cycles per packet of a block whose packets all come to the worker that has their flow, or all to the other one.
  double block(bool handed) {
    const Counts before = counts();
    uint64_t cycles = 0;
    for (uint32_t t = 0; t < options_.iterations; t++) {
      for (uint32_t worker = 0; worker < kWorkers; worker++) cycles += poll(worker, handed, true);
    }
    // The last packets are still on their way.
    for (uint32_t worker = 0; worker < kWorkers; worker++) cycles += poll(worker, handed, false);
    const uint64_t packets = uint64_t{options_.iterations} * kWorkers * 2 * WorkerRig::kBurst;
    const Counts after = counts();
    if (after.forwarded - before.forwarded != packets) give_up("packets were not forwarded");
    if (after.handed_in - before.handed_in != (handed ? packets : 0))
      give_up("packets were not handed over as intended");
    return static_cast<double>(cycles) / static_cast<double>(packets);
  }

 private:
  struct Counts {
    uint64_t forwarded, handed_in;
  };

  static RigOptions rig_options(const HandoverOptions& options) {
    RigOptions out;
    out.workers = kWorkers;
    out.frame_bytes = options.frame_bytes;
    out.v6 = options.v6;
    out.flow_capacity = std::max(options.flows / kWorkers + options.flows / 16, 1U << 16);
    return out;
  }

  Counts counts() const {
    return {rig_.counter(channel::Counter::kForwarded), rig_.counter(channel::Counter::kHandedIn)};
  }

  /// A poll iteration of a worker on its core, and before it frames for it to receive.
  uint64_t poll(uint32_t worker, bool handed, bool receives) {
    uint64_t cycles = 0;
    const auto job = [&] {
      const uint32_t owner = handed ? kWorkers - 1 - worker : worker;
      for (uint32_t i = 0; receives && i < WorkerRig::kBurst; i++) {
        rig_.client_sends(choose(worker, owner), kTcpAck, 1001, 5001, worker);
        rig_.backend_sends(choose(worker, owner), kTcpAck, 5001, 1001, worker);
      }
      cycles = rig_.poll(worker);
      rig_.clear(worker);
    };
    if (worker != 0 && helper_) {
      helper_->run(job);
    } else {
      job();
    }
    return cycles;
  }

  uint32_t choose(uint32_t worker, uint32_t owner) {
    uint32_t n;
    do {
      n = choosers_[worker].next();
    } while (rig_.owner(n) != owner);
    return n;
  }

  HandoverOptions options_;
  WorkerRig rig_;
  std::array<FlowChooser, kWorkers> choosers_;
  std::optional<HelperLcore> helper_;
};

}  // namespace

HandoverFigures measure_handover(const HandoverOptions& options) {
  fprintf(stderr, "%u flows: establishing\n", options.flows);
  Measurement measurement(options);
  std::vector<double> own, handed, added, ratio;
  for (uint32_t i = 0; i < options.blocks; i++) {
    own.push_back(measurement.block(false));
    handed.push_back(measurement.block(true));
    added.push_back(handed.back() - own.back());
    ratio.push_back(handed.back() / own.back());
  }
  return {quartiles(own), quartiles(handed), quartiles(added), quartiles(ratio)};
}

}  // namespace sluice::perf
