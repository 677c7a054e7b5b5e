// SPDX-License-Identifier: Apache-2.0
//
// What a body says that changes which members of a pool have been discovered, by hand. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace sluice::control {

struct DiscoveredRequest {
  enum class Action : uint8_t { kAdd, kRemove, kAccept };

  Action action = Action::kAdd;
  std::string pool;
  std::string name;     // of whom to remove
  std::string backend;  // whom to add: JSON, as in `backends` of a document of discovered ones
};

/// Of the body `text`. The error says what is wrong, and what is allowed.
std::expected<DiscoveredRequest, std::string> discovered_request_from(const std::string& text);

}  // namespace sluice::control
