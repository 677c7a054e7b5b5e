// SPDX-License-Identifier: Apache-2.0
//
// How much traffic a member is to take: its weight times factors, each with its reason. `effective_weight` is the one
// place where they are multiplied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::control {

/// A factor that others than the member itself decide, and why it is what it is; "" = nothing to say.
struct Factor {
  double value = 1;  // 0 to 1; `agent` may be more
  std::string reason;

  friend bool operator==(const Factor&, const Factor&) = default;
};

/// What the effective weight is made of.
struct WeightFactors {
  uint32_t configured = 0;
  std::optional<uint32_t> by_hand;  // stands in for `configured`
  double warm_up = 1;               // the schedule of a new address
  double slow_start = 1;            // on its way back after it was out
  double health = 1;                // 0 when the checks say down, or have not said anything yet
  double passive = 1;               // what the traffic itself shows
  double agent = 1;                 // what the agent on the mail server says
  double tier = 1;                  // 0 while a lower tier takes the traffic
  double zone = 1;                  // less while our own zone carries what it can
  double admin = 1;                 // 0 unless enabled
  double reachable = 1;             // 0 without a next hop
};

/// The weight times every factor.
double effective_weight(const WeightFactors& factors);

/// A factor as it is shown.
struct NamedFactor {
  std::string_view name;
  double value = 1;
  std::string reason;
};

}  // namespace sluice::control
