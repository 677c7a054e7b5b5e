// SPDX-License-Identifier: Apache-2.0
//
// Flows in a datagram. Each is a byte of what it is and which addresses are short, then client, VIP and, unless it has
// ended, backend (4 or 16 bytes of address, 2 of port each, in network order) and the PROXY offset: 20 bytes over IPv4.
// With fullnat our endpoint towards the backend comes next (6 bytes or 18); where both halves of the connection have
// numbers of their own, how they differ (10 bytes).
// What is read is believed no further than its bytes go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/peers/told_flow.h"

namespace sluice {

inline constexpr size_t kMostFlowBytes = 1 + 4 * 18 + 1 + 10;

/// Appends a flow to `out` at `used`. False, and nothing is written, if it finds no room.
bool append_flow(std::span<uint8_t> out, size_t& used, const ToldFlow& flow) noexcept;

/// Takes the first flow off `rest`. Nothing if that is none: the rest is then no batch.
std::optional<ToldFlow> take_flow(std::span<const uint8_t>& rest) noexcept;

}  // namespace sluice
