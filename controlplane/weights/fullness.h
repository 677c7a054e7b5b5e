// SPDX-License-Identifier: Apache-2.0
//
// Whether a backend has about as many connections open as it may. It is full before the limit is met, as workers share
// the limit and what comes until tables have changed needs room; and it stays so until there has been room for a while,
// or clients would go to and fro. What went elsewhere comes back then, and may fill it again: so each time that it
// does, there has to be room for twice as long. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "controlplane/base/times.h"

namespace sluice::control {

class Fullness {
 public:
  static constexpr double kFull = 0.9, kRoom = 0.75;  // of the limit
  static constexpr std::chrono::seconds kHold{10};    // with room, until it is not full any more: the first time
  static constexpr std::chrono::minutes kMostHold{10};
  static constexpr std::chrono::hours kRest{1};  // not full for so long: it begins anew

  /// `open` of `limit` connections are open; a limit of 0 is none. Returns whether it is full now and was not, or the
  /// other way round.
  bool update(uint64_t open, uint64_t limit, SystemTime now);

  bool is_full() const { return is_full_; }

 private:
  bool is_full_ = false;
  std::chrono::seconds hold_ = kHold;
  std::optional<SystemTime> room_since_;
  std::optional<SystemTime> over_;  // when it was full last
};

}  // namespace sluice::control
