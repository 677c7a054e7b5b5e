// SPDX-License-Identifier: Apache-2.0
//
// What perf_worker measures of two things that take turns: each is a table's row, or an entry of JSON, for each number
// of flows.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "perf/lib/synthetic.h"

namespace sluice::perf {

struct WorkerOptions {
  std::vector<uint32_t> flows{1'000, 1'000'000, 10'000'000};
  std::string mix = "established";
  uint32_t frame_bytes = kMinimalFrame;
  bool v6 = false;
  bool zipf = false;
  uint32_t blocks = 41;
  uint32_t iterations = 2'000;  // poll iterations per block; 64 packets each
  uint32_t lcore = 1;
  bool handover = false;
  bool scaling = false;
  bool records = false;
  bool kinds = false;
  std::string kind;
  uint32_t routes = 1'000;  // of the mix "routed"
  std::optional<uint32_t> second_lcore;
  bool json = false;
};

/// `ns`: of a TSC cycle. Print rows, unless JSON is asked for, which goes to `results`.
void run_handover(const WorkerOptions& options, double ns, nlohmann::json& results);
void run_scaling(const WorkerOptions& options, double ns, nlohmann::json& results);
void run_records(const WorkerOptions& options, double ns, nlohmann::json& results);
void run_kinds(const WorkerOptions& options, double ns, nlohmann::json& results);

}  // namespace sluice::perf
