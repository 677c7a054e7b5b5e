// SPDX-License-Identifier: Apache-2.0
//
// What a body says that drains this node, or takes that back. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace sluice::control {

struct NodeRequest {
  static constexpr uint64_t kLongestDeadlineS = 30 * 86400;

  bool drains = false;
  std::optional<std::chrono::seconds> deadline;  // with `drains` alone
};

/// Of the body `text`. The error says what is wrong, and what is allowed.
std::expected<NodeRequest, std::string> node_request_from(const std::string& text);

}  // namespace sluice::control
