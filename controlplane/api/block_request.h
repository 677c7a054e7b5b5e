// SPDX-License-Identifier: Apache-2.0
//
// What a body says that blocks a prefix or takes that back. Pure.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::control {

inline constexpr std::string_view kPrefixAllowed =
    "allowed: a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address";

struct BlockRequest {
  static constexpr uint64_t kLongestS = 366 * 86400;

  bool blocks = false;
  config::IpPrefix prefix;
  std::optional<std::chrono::seconds> duration;
  bool fleet = false;  // on all nodes
};

/// The error says what is wrong with the body `text`.
std::expected<BlockRequest, std::string> block_request_from(const std::string& text);

}  // namespace sluice::control
