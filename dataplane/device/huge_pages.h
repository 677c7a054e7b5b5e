// SPDX-License-Identifier: Apache-2.0
//
// Huge pages that are free, on the whole machine and on the NUMA nodes of the workers.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sluice {

/// Free huge pages of all sizes below `directory`, in MiB.
size_t free_hugepages_mb(const std::string& directory = "/sys/kernel/mm/hugepages");

/// What is wrong if a CPU of `cpus` is on a NUMA node with less than `memory_mb` free, and what to do; "" = nothing is.
/// `nodes`: where sysfs has the nodes.
std::string lacking_node(std::span<const unsigned> cpus, size_t memory_mb,
                         const std::string& nodes = "/sys/devices/system/node");

}  // namespace sluice
