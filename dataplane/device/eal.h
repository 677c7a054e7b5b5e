// SPDX-License-Identifier: Apache-2.0
//
// DPDK's environment: memory, lcores, buses. One per process, as EAL cannot be started twice.
#pragma once

#include <string>
#include <vector>

#include "dataplane/device/lcore_plan.h"
#include "dataplane/device/options.h"

namespace sluice {

/// Checks what can be checked before EAL starts: privileges, huge pages. Throws SetupError.
void check_environment(const DataplaneOptions& options, const LcorePlan& lcores);

/// Holds EAL for its life. Threads that EAL starts take no signals: those are main's.
class Eal {
 public:
  /// Throws SetupError.
  explicit Eal(std::vector<std::string> arguments);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

 private:
  std::vector<std::string> arguments_;  // EAL keeps pointers into them
};

}  // namespace sluice
