// SPDX-License-Identifier: Apache-2.0
//
// When sessions of what drains are told 421 between two of their messages (kBackendLeaving), so that few are left to be
// cut at the deadline.
#pragma once

#include <algorithm>
#include <chrono>
#include <string_view>

#include "controlplane/model/removal.h"

namespace sluice::control {

/// From half of a drain's time on: until then sessions may end by themselves, which costs their clients nothing. And
/// for its last minute at least, or for all of it if it is shorter: silent clients are asked one after the other, and
/// whoever is in a message has to come to its end.
inline SystemTime leaving_from(SystemTime since, SystemTime deadline) {
  constexpr std::chrono::seconds kAtLeast{60};
  return std::max(since, std::min<SystemTime>(since + (deadline - since) / 2, deadline - kAtLeast));
}

/// Behind the reason of what drains.
inline constexpr std::string_view kLeavingWords = "; sessions are told 421 between messages";

}  // namespace sluice::control
