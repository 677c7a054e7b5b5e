// SPDX-License-Identifier: Apache-2.0
//
// What has left the configuration while flows of it were open: they go on, new ones go elsewhere, and what is left at
// the deadline is cut. Kept in the model beside what the file says, and over restarts of control (changes/standing.h).
// Where nodes tell each other of flows, it is kept without any here, too: a router may move one here at any time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::control {

using SystemTime = std::chrono::system_clock::time_point;

struct Member;
struct ServiceState;

/// Open flows, as the data plane counts them; nothing while it does not.
struct FlowCounts {
  std::function<std::optional<uint64_t>(const Member&)> of_member;
  std::function<std::optional<uint64_t>(const ServiceState&)> of_service;
};

/// What a pool says of what leaves it.
struct RemovalRule {
  config::OnRemoval on_removal = config::OnRemoval::kDrain;
  std::chrono::milliseconds deadline = config::Pool().removal_deadline;
};

struct Removal {
  SystemTime since;
  SystemTime deadline;
  std::optional<SystemTime> empty_since;  // it has had no flow from then on
  bool is_absolute = false;               // an earlier process said until when: it stays, whatever the clock is set to

  friend bool operator==(const Removal&, const Removal&) = default;
};

/// State of what was removed.
inline constexpr std::string_view kRemovedState = "removed, draining";

/// "no new sessions; what is left of the open ones is cut at ...".
std::string reason_of(const Removal& removal);

}  // namespace sluice::control
