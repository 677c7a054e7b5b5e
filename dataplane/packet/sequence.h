// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic modulo 2^32 on TCP sequence numbers (RFC 9293 section 3.4) and on millisecond clocks.
#pragma once

#include <cstdint>

namespace sluice {

/// a < b on the circle.
constexpr bool sequence_before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}

/// The later of two on the circle.
constexpr uint32_t sequence_max(uint32_t a, uint32_t b) {
  return sequence_before(a, b) ? b : a;
}

/// Whether a deadline in low 32 bits of a millisecond clock has come. Right for deadlines up to 24 days away.
constexpr bool is_due(uint32_t deadline_ms, uint32_t now_ms) {
  return static_cast<int32_t>(now_ms - deadline_ms) >= 0;
}

}  // namespace sluice
