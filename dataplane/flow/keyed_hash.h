// SPDX-License-Identifier: Apache-2.0
//
// The hash under which a process keeps what clients make it remember. Clients choose their addresses and ports, so all
// that they choose meets a secret before it is multiplied: an operand that they knew, or a difference that they could
// cancel, would let them aim at one bucket. Nodes need not agree on it; placement's hash is another.
#pragma once

#include <bit>
#include <cstring>

#include "dataplane/contract/placement.h"

namespace sluice {

inline uint64_t keyed_hash(const Endpoint& endpoint, uint64_t secret) {
  uint64_t high, low;
  std::memcpy(&high, &endpoint.address.bytes[0], 8);
  std::memcpy(&low, &endpoint.address.bytes[8], 8);
  const uint64_t address = fold_multiply(high ^ secret ^ kMixA, low ^ std::rotl(secret, 32) ^ kMixB);
  // The port comes after the address: what it changes there cannot be undone by another address.
  return fold_multiply(address ^ endpoint.port.raw * kMixC, secret ^ kMixB);
}

}  // namespace sluice
