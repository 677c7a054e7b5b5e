// SPDX-License-Identifier: Apache-2.0
//
// What the generator is told to do.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/contract/address.h"

namespace sluice::blast {

enum class Mode : uint8_t { kSessions, kSearch, kSynFlood };

struct Options {
  Mode mode = Mode::kSessions;
  std::string front;  // DPDK device strings; both empty: a wire within the process
  std::string back;   // empty: the backends are somebody else's
  Endpoint vip;
  Address first_client;
  uint32_t clients = 1'000'000;
  uint32_t sessions_max = 100'000;
  uint32_t held = 0;  // sessions that stay greeted and silent for the whole run
  uint32_t body_bytes = 1000;
  double rate = 1000;      // sessions a second; 0 = as many as sessions_max allows
  double flood_rate = 0;   // SYNs a second; 0 = as many as the device takes
  double duration_s = 10;  // of a trial
  double lowest = 100;     // search
  double highest = 100'000;
  double resolution = 0.02;
  double wait_s = 15;  // for the tested box to let a first session through
  uint32_t cpu = 0;
  uint32_t memory_mb = 512;
  bool hugepages = false;
  bool verify = false;
};

}  // namespace sluice::blast
