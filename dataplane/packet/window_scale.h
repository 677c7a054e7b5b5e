// SPDX-License-Identifier: Apache-2.0
//
// The window scale that a SYN or SYN-ACK announces (RFC 7323 section 2.2). For SYNs only: off the fast path.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/packet/packet.h"

namespace sluice {

inline constexpr uint8_t kLargestWindowScale = 14;

struct WindowScale {
  bool announced;
  uint8_t shift;  // 0 if not announced
};

inline WindowScale window_scale(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  constexpr uint8_t kEnd = 0, kNoOperation = 1, kWindowScale = 3, kWindowScaleBytes = 3;
  const uint8_t* header = rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l4_offset;
  uint32_t at = tcp::kBytes;
  while (at < packet.tcp_header_bytes && header[at] != kEnd) {
    if (header[at] == kNoOperation) {
      at++;
      continue;
    }
    const uint32_t bytes = at + 1U < packet.tcp_header_bytes ? header[at + 1] : 0U;
    if (bytes < 2 || at + bytes > packet.tcp_header_bytes) break;
    if (header[at] == kWindowScale && bytes == kWindowScaleBytes) {
      return {true, std::min(header[at + 2], kLargestWindowScale)};
    }
    at += bytes;
  }
  return {false, 0};
}

}  // namespace sluice
