// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace sluice {

/// What the fast path does with a flow's packets.
enum class FastWay : uint8_t {
  kNat,     // nothing but NAT, and there are no tags
  kAnyNat,  // with tags, and numbers that are shifted: for a PROXY header, or as we have answered the client's SYN
  kFullnat,
  kOneWay,  // dsr and tunnels
};

}  // namespace sluice
