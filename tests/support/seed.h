// SPDX-License-Identifier: Apache-2.0
//
// Where the tests that draw begin: at the same place in every run, so that a verdict can be had again. SLUICE_TEST_SEED
// sets it: a number, or `any`, as `tests/run --long` does.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace sluice {

inline uint64_t test_seed() {
  const char* wanted = std::getenv("SLUICE_TEST_SEED");
  if (wanted == nullptr) return 1;
  return std::string(wanted) == "any" ? std::random_device{}() : std::strtoull(wanted, nullptr, 10);
}

/// For SCOPED_TRACE: how to have the run again.
inline std::string how_to_repeat(uint64_t seed) {
  return "SLUICE_TEST_SEED=" + std::to_string(seed);
}

}  // namespace sluice
