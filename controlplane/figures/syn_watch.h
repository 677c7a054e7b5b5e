// SPDX-License-Identifier: Apache-2.0
//
// Tells by events when workers begin to answer SYNs in the backends' place because handshakes pile up, and when they
// have stopped. One thread; time is the journal's.
#pragma once

#include <cstdint>
#include <optional>

#include "controlplane/base/journal.h"
#include "controlplane/figures/figures.h"

namespace sluice::control {

class SynWatch {
 public:
  explicit SynWatch(Journal& journal) : journal_(journal) {}

  /// To be called every second: what all workers have counted together; nothing while the data plane is not connected.
  void tick(const std::optional<WorkerCounters>& counters);

 private:
  struct Counted {
    uint64_t sent = 0;
    uint64_t accepted = 0;
  };

  Journal& journal_;
  std::optional<Counted> before_;  // when it began
};

}  // namespace sluice::control
