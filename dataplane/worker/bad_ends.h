// SPDX-License-Identifier: Apache-2.0
//
// Ends that no client has: packets from them are made by hand, to have us answer or forward to where it hurts. To be
// asked before a packet begins a flow; it then cannot come with one.
#pragma once

#include <optional>

#include "dataplane/packet/packet.h"
#include "dataplane/worker/counters.h"
#include "dataplane/worker/forwarding_state.h"

namespace sluice {

/// Whether nobody sends from an address: none, loopback, multicast or broadcast (RFC 6890, RFC 1122 section 3.2.1.3).
inline bool is_no_source(const Address& address) noexcept {
  if (address.is_v4()) {
    const uint8_t first = address.bytes[12];
    return first == 0 || first == 127 || first >= 224;
  }
  uint64_t high, low;
  __builtin_memcpy(&high, &address.bytes[0], sizeof high);
  __builtin_memcpy(&low, &address.bytes[8], sizeof low);
  const bool none_or_loopback = high == 0 && __builtin_bswap64(low) <= 1;
  return address.bytes[0] == 0xff || none_or_loopback;
}

/// Why a packet to a service cannot be a client's, if it cannot.
inline std::optional<Counter> bad_ends(const Packet& packet, const ForwardingState& state) noexcept {
  if (packet.source.port.raw == 0) return Counter::kDropPortZero;
  const Address& source = packet.source.address;
  const bool bad = is_no_source(source) || source == packet.destination.address || state.is_vip(source);
  return bad ? std::optional(Counter::kDropBadSource) : std::nullopt;
}

}  // namespace sluice
