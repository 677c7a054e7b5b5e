// SPDX-License-Identifier: Apache-2.0
//
// A SYN turned into the SYN-ACK that answers it, where it lies. For floods: everything that stays the same stays, and
// the sums of what only changes places are not made twice.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/packet/packet.h"

namespace sluice {

struct SynAck {
  static constexpr uint32_t kMostOptions = 20;  // bytes

  uint32_t sequence;
  Be16 window;
  std::array<uint8_t, kMostOptions> options;
  uint32_t options_bytes;  // a multiple of 4
};

/// Sends `mbuf`, which holds the SYN `packet`, back where it came from. Payload and IP options of the SYN are gone.
void turn_into_syn_ack(rte_mbuf& mbuf, const Packet& packet, const SynAck& answer) noexcept;

}  // namespace sluice
