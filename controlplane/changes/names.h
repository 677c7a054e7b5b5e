// SPDX-License-Identifier: Apache-2.0
//
// What an operator calls things: from the words of a request to what they mean in a configuration.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::control {

/// A backend of the file, on all its ports or on one.
struct BackendName {
  std::string pool;
  std::string name;
  std::optional<uint16_t> port;

  /// "mta/mta1", "mta/mta1:25".
  std::string to_string() const;
  friend bool operator==(const BackendName&, const BackendName&) = default;
};

/// The backend called `text`: "POOL/BACKEND", or "BACKEND" where only one pool has one of that name; with ":PORT"
/// behind it, one of its ports. The error says what is wrong, and what was meant perhaps.
std::expected<BackendName, std::string> find_backend(const config::Config& config, std::string_view text);

/// The pool called `text`.
std::expected<const config::Pool*, std::string> find_pool(const config::Config& config, const std::string& text);

/// The service called `text`.
std::expected<const config::Service*, std::string> find_service(const config::Config& config, const std::string& text);

}  // namespace sluice::control
