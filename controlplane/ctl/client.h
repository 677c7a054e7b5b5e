// SPDX-License-Identifier: Apache-2.0
//
// Asks control's API over its Unix socket. Blocking, with a time limit.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice::ctl {

/// How sluicectl ends, for scripts.
enum class Exit : int { kOk = 0, kFailed = 1, kUsage = 2, kUnreachable = 3 };

struct Failure {
  Exit exit = Exit::kFailed;
  std::string text;
};

/// The one control socket under `directory` (DIRECTORY/INSTANCE/control.sock).
std::expected<std::string, Failure> find_socket(const std::string& directory);

/// The JSON at `path` ("/api/v1/status"), from the control process that listens on `socket`.
std::expected<nlohmann::json, Failure> get(const std::string& socket, const std::string& path);

}  // namespace sluice::ctl
