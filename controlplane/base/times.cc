// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/times.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace sluice::control {

std::string to_rfc3339(SystemTime time) {
  const int64_t ms = to_ms(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
}

}  // namespace sluice::control
