// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/fullness.h"

#include <utility>

namespace sluice::control {

bool Fullness::update(uint64_t open, uint64_t limit, SystemTime now) {
  const bool was_full = is_full_;
  const auto share = limit == 0 ? 0 : static_cast<double>(open) / static_cast<double>(limit);
  if (share >= kFull) is_full_ = true;
  if (share >= kRoom || !is_full_) {
    room_since_.reset();
  } else if (!room_since_ || *room_since_ > now) {  // or a clock that was set back
    room_since_ = now;
  }
  if (limit == 0 || (room_since_ && now - *room_since_ >= kHold)) {
    is_full_ = false;
    room_since_.reset();
  }
  return is_full_ != was_full;
}

}  // namespace sluice::control
