// SPDX-License-Identifier: Apache-2.0
//
// Which tier of a pool takes the traffic: the lowest that has a usable backend. A tier that is out is left at once; a
// lower one that comes back has to stay for a while first, so that traffic does not swing with a flapping backend.
// Pure, time injected.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::control {

class TierChoice {
 public:
  using Time = std::chrono::system_clock::time_point;

  /// `lowest` is the lowest tier with a usable backend, if there is any; `active_is_out`: the active tier has none.
  /// Returns why another tier is active now; nothing if it is the same as before.
  std::optional<std::string> update(std::optional<uint32_t> lowest, bool active_is_out, std::chrono::milliseconds hold,
                                    Time now);

  /// The clock was set, and all times are now so much later: the hold goes on as before.
  void move_times(Time::duration by) { back_since_ += by; }

  /// Nothing before the first usable backend.
  std::optional<uint32_t> active() const { return active_; }
  /// When a lower tier that is back will be active again, if nothing changes.
  std::optional<Time> due() const { return due_; }

 private:
  std::optional<uint32_t> active_;
  std::optional<uint32_t> back_;  // a lower tier that is back
  Time back_since_;
  std::optional<Time> due_;
};

}  // namespace sluice::control
