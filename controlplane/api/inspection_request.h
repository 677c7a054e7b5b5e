// SPDX-License-Identifier: Apache-2.0
//
// What a body says that begins a trace or a capture. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>

#include "controlplane/inspect/client_filter.h"

namespace sluice::control {

struct InspectionRequest {
  static constexpr uint64_t kMostSeconds = 3600;
  static constexpr uint64_t kMostPackets = 10'000'000;
  static constexpr uint64_t kLeastFileBytes = 4096, kMostFileBytes = 1ULL << 30;
  static constexpr uint64_t kMostSnapBytes = 65'535;

  ClientFilter client;
  std::string service;  // "" = any
  std::string backend;  // likewise
  std::chrono::seconds time{30};
  uint32_t packets = 0;  // of each worker
  // Of captures:
  uint64_t file_bytes = 64ULL << 20;
  uint32_t snap_bytes = 0;
};

/// Of the body `text`; "" is an empty one. A trace is of clients, a capture of anybody who is named. The error says
/// what is wrong, and what is allowed.
std::expected<InspectionRequest, std::string> inspection_request_from(const std::string& text, bool is_capture);

}  // namespace sluice::control
