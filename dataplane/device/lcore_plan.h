// SPDX-License-Identifier: Apache-2.0
//
// Which CPU the main lcore and each worker run on. Pure functions.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace sluice {

struct LcorePlan {
  unsigned main_cpu = 0;
  std::vector<unsigned> worker_cpus;  // by worker index
  bool main_shares = false;           // main runs on a worker's CPU: no other was left
};

/// CPUs of a list such as "1", "1,3" or "2-5,8", in the order written. No CPU may stand twice.
std::expected<std::vector<unsigned>, std::string> parse_cpu_list(const std::string& text);

/// Places `workers` workers on the CPUs listed in `lcores` ("" = all available but the first) and main on the
/// first available CPU that no worker has. With none left, main shares the first. `available`: ascending, not empty.
std::expected<LcorePlan, std::string> plan_lcores(uint32_t workers, const std::string& lcores,
                                                  const std::vector<unsigned>& available);

/// The CPUs this process may run on, ascending.
std::vector<unsigned> available_cpus();

/// EAL's id of a worker's lcore. Main is lcore 0.
constexpr unsigned worker_lcore(uint32_t worker) {
  return worker + 1;
}

}  // namespace sluice
