// SPDX-License-Identifier: Apache-2.0
//
// Which table entry a new flow takes. Both processes and every node of an anycast group must agree on
// it, so it has no state, and no secret but one that they share: two rounds of 64x64->128 multiplication
// folded by xor (the construction of wyhash), which passes a chi-square test over ports of one client and
// over sequential clients (tests/contract/contract_test.cc).
#pragma once

#include <cstdint>
#include <cstring>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"

namespace sluice {

inline constexpr uint64_t kMixA = 0xa0761d6478bd642f;
inline constexpr uint64_t kMixB = 0xe7037ed1a0b428db;
inline constexpr uint64_t kMixC = 0x8ebc6af09c88c6e3;

/// The 128-bit product of a and b, folded to 64 bits.
inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// Hash of an endpoint under `seed`. `key`: also of the half of the address that the seed does not reach; without one,
/// who knows the constants can have an address whose hash is the same under every seed.
inline uint64_t hash_endpoint(const Endpoint& endpoint, uint64_t seed, uint64_t key = 0) {
  uint64_t high, low;
  std::memcpy(&high, &endpoint.address.bytes[0], 8);
  std::memcpy(&low, &endpoint.address.bytes[8], 8);
  const uint64_t port = endpoint.port.raw * kMixC;
  const uint64_t first = fold_multiply(high ^ seed ^ kMixA ^ port, low ^ kMixB ^ key);
  return fold_multiply(first ^ kMixC, seed ^ kMixB);
}

/// The client as `hash_on` sees it: port cleared for kClient; address cut to /24 or /64 too for kClientPrefix.
inline Endpoint placement_client(const Endpoint& client, channel::HashOn hash_on) {
  Endpoint out = client;
  if (hash_on == channel::HashOn::kConnection) return out;
  out.port = Be16{};
  if (hash_on == channel::HashOn::kClientPrefix) {
    if (out.address.is_v4()) {
      out.address.bytes[15] = 0;
    } else {
      for (int i = 8; i < 16; i++) out.address.bytes[i] = 0;
    }
  }
  return out;
}

/// What of a client decides its place under a scheduler: "source" keeps a client's connections together.
inline channel::HashOn effective_hash_on(channel::Scheduler scheduler, channel::HashOn hash_on) {
  const bool by_source = scheduler == channel::Scheduler::kSource && hash_on == channel::HashOn::kConnection;
  return by_source ? channel::HashOn::kClient : hash_on;
}

/// How many entries of a table are tried, beginning with the one that the scheduler names.
inline constexpr uint32_t kPlacementProbes = 64;

/// Placement hash of a connection from `client` to the service at `vip`. `secret`: the site's, 0 if it has none: then
/// clients can reckon which ports of theirs lead to one backend.
inline uint64_t placement_hash(const Endpoint& client, const Endpoint& vip, channel::HashOn hash_on,
                               uint64_t secret = 0) {
  const uint64_t key = secret == 0 ? 0 : fold_multiply(secret ^ kMixA, kMixC);
  return hash_endpoint(placement_client(client, hash_on), hash_endpoint(vip, secret), key);
}

/// The entry of a table of `entries` > 0 that `hash` selects (multiply-shift range reduction on the upper 32 bits).
inline uint32_t table_index(uint64_t hash, uint32_t entries) {
  return static_cast<uint32_t>(((hash >> 32) * entries) >> 32);
}

}  // namespace sluice
