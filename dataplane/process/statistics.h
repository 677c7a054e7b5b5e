// SPDX-License-Identifier: Apache-2.0
//
// The statistics memory of dataplane/contract/segment.h: one for the life of the process, written here and by
// the workers, read by control.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/shared_memory.h"
#include "dataplane/contract/segment.h"

namespace sluice {

class Statistics {
 public:
  /// `ports`: by port index, at most channel::kMaxPorts. Throws SetupError.
  Statistics(uint32_t workers, uint64_t tsc_hz, std::span<const channel::PortStatus> ports,
             const FlowTimers& timers = {});

  channel::StatsHeader& header() { return *reinterpret_cast<channel::StatsHeader*>(memory_.mapping.data()); }
  channel::WorkerStats& worker(uint32_t index);
  channel::LimitTable& limit_table();
  const Descriptor& read_only_descriptor() const { return read_only_; }

 private:
  SharedMemory memory_;
  Descriptor read_only_;
};

}  // namespace sluice
