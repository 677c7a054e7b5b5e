// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sluice {

/// xorshift64 (Marsaglia 2003): quick and good enough to spread choices; nothing secret hangs on it.
class Random {
 public:
  explicit Random(uint64_t seed) noexcept : state_(seed | 1) {}

  /// A number below `below`.
  uint32_t draw(uint32_t below) noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(((state_ >> 32) * below) >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace sluice
