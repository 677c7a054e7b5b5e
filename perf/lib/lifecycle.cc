// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/lifecycle.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace sluice::perf {
namespace {

using channel::Counter;

/// Sessions that end while records are kept or not; the worker's count of those that were not is in `lost`.
struct Block {
  double cycles;  // per connection
  uint64_t written, lost;
};

Block block_of(WorkerRig& rig, uint32_t& next_client, uint32_t iterations) {
  const uint64_t written = rig.counter(Counter::kSessionRecords), lost = rig.counter(Counter::kSessionRecordsLost);
  const double cycles = kPacketsPerConnection * lifecycle_block(rig, next_client, iterations);
  return {cycles, rig.counter(Counter::kSessionRecords) - written, rig.counter(Counter::kSessionRecordsLost) - lost};
}

/// Connections until the ring of records has no room.
void fill_ring(WorkerRig& rig, uint32_t& next_client) {
  rig.leave_records(true);
  const uint64_t lost = rig.counter(Counter::kSessionRecordsLost);
  while (rig.counter(Counter::kSessionRecordsLost) == lost) lifecycle_block(rig, next_client, 0);
}

}  // namespace

double lifecycle_block(WorkerRig& rig, uint32_t& next_client, uint32_t iterations) {
  uint64_t cycles = 0;
  uint32_t packets = 0;
  for (uint32_t done = 0; done < iterations / kPacketsPerConnection + 1; done++) {
    const uint32_t first = next_client;
    next_client += WorkerRig::kBurst;
    const auto step = [&](auto send) {
      for (uint32_t i = first; i < next_client; i++) send(i);
      cycles += rig.poll();
      packets += WorkerRig::kBurst;
      rig.clear();
    };
    step([&](uint32_t i) { rig.client_sends(i, kTcpSyn, 1000, 0); });
    step([&](uint32_t i) { rig.backend_sends(i, kTcpSyn | kTcpAck, 5000, 1001); });
    step([&](uint32_t i) { rig.client_sends(i, kTcpAck, 1001, 5001); });
    step([&](uint32_t i) { rig.backend_sends(i, kTcpAck | kTcpPsh, 5001, 1001); });
    step([&](uint32_t i) { rig.client_sends(i, kTcpFin | kTcpAck, 1001, 5001); });
    step([&](uint32_t i) { rig.backend_sends(i, kTcpFin | kTcpAck, 5001, 1002); });
    step([&](uint32_t i) { rig.client_sends(i, kTcpAck, 1002, 5002); });
    rig.set_time_ms(rig.time_ms() + 1);
  }
  return static_cast<double>(cycles) / packets;
}

RecordsFigures measure_records(const RecordsOptions& options) {
  RigOptions rig_options;
  rig_options.frame_bytes = options.frame_bytes;
  rig_options.v6 = options.v6;
  rig_options.flow_capacity = std::max(options.flows + options.flows / 16, 1U << 16);
  WorkerRig rig(rig_options);
  uint32_t next_client = 0;
  std::vector<double> lost, recorded, added;
  for (uint32_t block = 0; block < options.blocks; block++) {
    fill_ring(rig, next_client);
    const Block without = block_of(rig, next_client, options.iterations);
    rig.leave_records(false);
    const Block with = block_of(rig, next_client, options.iterations);
    if (without.written != 0 || without.lost == 0 || with.written == 0 || with.lost != 0) {
      fprintf(stderr, "error: records were not written and lost as they should be, the figures mean nothing\n");
      exit(1);
    }
    lost.push_back(without.cycles);
    recorded.push_back(with.cycles);
    added.push_back(with.cycles - without.cycles);
  }
  return {quartiles(lost), quartiles(recorded), quartiles(added)};
}

}  // namespace sluice::perf
