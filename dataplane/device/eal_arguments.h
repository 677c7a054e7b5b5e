// SPDX-License-Identifier: Apache-2.0
//
// The arguments with which DPDK's environment abstraction layer (EAL) is started. Pure.
#pragma once

#include <string>
#include <vector>

#include "dataplane/device/lcore_plan.h"
#include "dataplane/device/options.h"

namespace sluice {

/// Arguments for rte_eal_init(), program name first. PCI devices are allowed by address and no other is touched;
/// virtual devices are added after start-up, so that each fault can be told with its port. `numa_nodes`: >= 1.
std::vector<std::string> eal_arguments(const DataplaneOptions& options, const LcorePlan& lcores, uint32_t numa_nodes);

/// NUMA nodes of this machine, at least 1.
uint32_t count_numa_nodes();

}  // namespace sluice
