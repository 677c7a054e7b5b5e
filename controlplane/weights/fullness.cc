// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/fullness.h"

#include <algorithm>

namespace sluice::control {

bool Fullness::update(uint64_t open, uint64_t limit, SystemTime now) {
  const bool was_full = is_full_;
  const auto share = limit == 0 ? 0 : static_cast<double>(open) / static_cast<double>(limit);
  if (share >= kFull && !is_full_) {
    is_full_ = true;
    const bool has_rested = !over_ || *over_ > now || now - *over_ >= kRest;
    hold_ = has_rested ? kHold : std::min<std::chrono::seconds>(2 * hold_, kMostHold);
  }
  if (share >= kRoom || !is_full_) {
    room_since_.reset();
  } else if (!room_since_ || *room_since_ > now) {  // or a clock that was set back
    room_since_ = now;
  }
  if (limit == 0 || (room_since_ && now - *room_since_ >= hold_)) {
    if (is_full_) over_ = now;
    is_full_ = false;
    room_since_.reset();
  }
  return is_full_ != was_full;
}

}  // namespace sluice::control
