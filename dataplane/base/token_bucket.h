// SPDX-License-Identifier: Apache-2.0
//
// A token bucket over a clock of milliseconds. One writer; no allocation.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice {

class TokenBucket {
 public:
  /// One that has no token and earns none.
  TokenBucket() noexcept = default;
  /// Full at `now_ms`: `burst` tokens, refilled by `per_second` up to that many. Both up to a million.
  TokenBucket(uint32_t per_second, uint32_t burst, uint64_t now_ms) noexcept
      : per_second_(per_second), full_(uint64_t{burst} * 1000), level_(full_), credited_ms_(now_ms) {}

  /// Takes a token, if there is one beside those that are to stay: `leave`, at most as many as there may be at once.
  bool take(uint64_t now_ms, uint32_t leave = 0) noexcept {
    if (now_ms > credited_ms_) {
      const uint64_t elapsed_ms = std::min(now_ms - credited_ms_, full_);  // longer fills it all the same
      level_ = std::min(full_, level_ + elapsed_ms * per_second_);
      credited_ms_ = now_ms;
    }
    if (level_ < (uint64_t{leave} + 1) * 1000) return false;
    level_ -= 1000;
    return true;
  }

 private:
  uint64_t per_second_ = 0;
  uint64_t full_ = 0;   // in thousandths of a token
  uint64_t level_ = 0;  // likewise
  uint64_t credited_ms_ = 0;
};

}  // namespace sluice
