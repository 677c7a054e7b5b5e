// SPDX-License-Identifier: Apache-2.0
//
// Tells by events what workers do about floods of SYNs, when it begins and when it has ended: they answer them in the
// backends' place because handshakes pile up; they drop some because they are behind with their packets. One thread;
// time is the journal's.
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
  void tick_answering(const WorkerCounters& counters);
  void tick_shedding(const WorkerCounters& counters);

  struct Counted {
    uint64_t sent = 0;
    uint64_t accepted = 0;
  };

  Journal& journal_;
  std::optional<Counted> before_;           // when answering began
  std::optional<uint64_t> dropped_before_;  // when dropping began
};

}  // namespace sluice::control
