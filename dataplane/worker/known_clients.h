// SPDX-License-Identifier: Apache-2.0
//
// Addresses of clients that have had a session, so that these can be told from forged ones when there is not room for
// all. An address is forgotten when another falls on its place, and one in 32,000 that was never here is taken for
// known: what hangs on it must be a matter of preference. Where an address falls hangs on a secret: nobody can aim.
// Thread safety: none; one worker owns it.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/placement.h"

namespace sluice {

class KnownClients {
 public:
  static constexpr uint32_t kPlaces = 1U << 17;  // a quarter of a megabyte, so that it stays in a core's cache

  explicit KnownClients(uint64_t secret) : secret_(secret), places_(kPlaces) {}

  void note(const Address& client) noexcept {
    const uint64_t hash = hash_of(client);
    places_[hash % kPlaces] = tag_of(hash);
  }
  bool knows(const Address& client) const noexcept {
    const uint64_t hash = hash_of(client);
    return places_[hash % kPlaces] == tag_of(hash);
  }

 private:
  uint64_t hash_of(const Address& client) const noexcept { return hash_endpoint({client, Be16{}}, secret_, secret_); }
  static uint16_t tag_of(uint64_t hash) noexcept { return static_cast<uint16_t>(hash >> 48 | 1); }  // 0: never taken

  const uint64_t secret_;
  std::vector<uint16_t> places_;
};

}  // namespace sluice
