// SPDX-License-Identifier: Apache-2.0
//
// A check as the probes use it: its settings, with the patterns compiled.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "config/model.h"
#include "healthcheck/pattern.h"

namespace sluice::health {

struct Plan {
  config::Check check;
  std::optional<Pattern> expect;
  std::optional<Pattern> reject;

  /// Cost: milliseconds per pattern. The error names the check and the pattern.
  static std::expected<Plan, std::string> compile(const config::Check& check);
};

}  // namespace sluice::health
