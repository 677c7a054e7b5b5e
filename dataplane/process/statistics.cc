// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/statistics.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace sluice {

Statistics::Statistics(uint32_t workers, uint64_t tsc_hz, std::span<const channel::PortStatus> ports,
                       const FlowTimers& timers)
    : memory_(make_shared_memory("sluice-statistics", channel::stats_bytes(workers))),
      read_only_(reopen_read_only(memory_.descriptor)) {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  channel::StatsHeader& head = header();
  head.abi_version = channel::kAbiVersion;
  head.workers = workers;
  head.stats_bytes = channel::stats_bytes(workers);
  head.tsc_hz = tsc_hz;
  head.start_time_ms =
      static_cast<uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
  head.pid = static_cast<uint32_t>(getpid());
  head.ports = static_cast<uint32_t>(ports.size());
  std::ranges::copy(ports, head.port);
  head.timers = timers;
  head.magic = channel::kStatsMagic;
}

channel::WorkerStats& Statistics::worker(uint32_t index) {
  return *reinterpret_cast<channel::WorkerStats*>(memory_.mapping.data() + channel::kWorkerStatsOffset +
                                                  index * channel::kWorkerStatsStride);
}

channel::LimitTable& Statistics::limit_table() {
  return *reinterpret_cast<channel::LimitTable*>(memory_.mapping.data() +
                                                 channel::limit_table_offset(header().workers));
}

}  // namespace sluice
