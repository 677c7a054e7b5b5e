// SPDX-License-Identifier: Apache-2.0
//
// Handshakes whose flows had to give way. In a SYN flood the embryonic ring comes round within less than the round trip
// to a far client; its ACK is to reach the backend that has its SYN, and be known from forged ones. So of each
// handshake that may yet be finished eight bytes remain: which numbers its ACK will bear, and the backend. Sets of a
// cache line each, in which the newest displaces the oldest: kSets * kWays / 2 of them are remembered with a
// probability of 98 %. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/flow.h"

namespace sluice {

/// What is known of a handshake, and of its ACK.
struct Handshake {
  uint64_t client_hash;  // of the client's endpoint, by the flow table's secret
  channel::ServiceId service;
  uint32_t client_next;
  uint32_t server_next;  // 0 where the server's numbers are not seen
};

class DisplacedHandshakes {
 public:
  static constexpr uint32_t kSets = 1U << 16;
  static constexpr uint32_t kWays = 8;

  void remember(const Handshake& handshake, channel::BackendId backend, uint16_t generation) noexcept;

  /// The backend of a handshake, which is forgotten with that; kNoBackend if it is not remembered. Of the backend's
  /// generation only some bits are: enough for the short time that counts.
  struct Found {
    channel::BackendId backend = channel::kNoBackend;
    uint8_t generation = 0;
  };
  Found take(const Handshake& handshake) noexcept;

  static constexpr uint8_t generation_bits(uint16_t generation) { return generation & 3; }

 private:
  struct Entry {
    uint32_t client_next;
    uint16_t check;    // of the rest of the handshake; 0: none
    uint16_t backend;  // with the generation's bits above
  };
  struct alignas(64) Set {
    std::array<Entry, kWays> entry;
  };
  static_assert(sizeof(Set) == 64 && channel::kMaxBackends == 1U << 14);

  struct Place {
    uint32_t set;
    uint16_t check;
  };
  static Place place_of(const Handshake& handshake) noexcept;

  std::array<Set, kSets> sets_{};
};

}  // namespace sluice
