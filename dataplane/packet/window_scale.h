// SPDX-License-Identifier: Apache-2.0
//
// The window scale that a SYN or SYN-ACK announces (RFC 7323 section 2.2). For SYNs only: off the fast path.
#pragma once

#include <rte_mbuf.h>

#include <optional>

#include "dataplane/packet/tcp_options.h"

namespace sluice {

inline constexpr uint8_t kLargestWindowScale = tcp_option::kLargestScale;

struct WindowScale {
  bool announced;
  uint8_t shift;  // 0 if not announced
};

inline WindowScale window_scale(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  const auto* header = rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l4_offset;
  const std::optional<uint8_t> scale = announced_by(header, packet.tcp_header_bytes).window_scale;
  return {scale.has_value(), scale.value_or(0)};
}

}  // namespace sluice
