// SPDX-License-Identifier: Apache-2.0
//
// What is known of the exchange with other nodes' data planes (dataplane/peers). Written by the exchange's thread
// alone, read by anyone with relaxed loads; all but the addresses are 64-bit words. Counts only grow.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/address.h"

namespace sluice::channel {

inline constexpr uint32_t kMaxPeers = 16;
inline constexpr uint32_t kNodeNameBytes = 64;  // with its zero

/// One of the nodes that we exchange flows with, in the order of the configuration.
struct alignas(64) PeerStatus {
  Endpoint at;
  uint8_t reserved[6];
  uint64_t last_heard_ms;  // CLOCK_MONOTONIC of its last authentic datagram; 0 = never
  uint64_t datagrams;      // authentic ones from it
  uint64_t flows_learned;  // that it told us of, refreshed ones among them
  uint64_t ends_learned;
  uint64_t send_errors;              // datagrams to it that the kernel did not take
  char node[kNodeNameBytes];         // as it calls itself; "" = not heard of yet
  uint64_t forgotten_after_restart;  // how often it has begun anew
};

struct alignas(64) PeersStatus {
  uint64_t peers;           // how many of `peer` there are; 0 = no exchange is configured
  uint64_t table_capacity;  // flows of peers that can be known at once
  uint64_t table_now;       // gauge: that are
  uint64_t datagrams_sent;
  uint64_t bytes_sent;  // UDP payload
  uint64_t flows_told;  // to each peer, refreshed ones among them
  uint64_t ends_told;
  uint64_t drop_stranger;   // datagrams from an address that is none of the peers'
  uint64_t drop_forged;     // that our key does not open
  uint64_t drop_replayed;   // that had come before, or are too old to tell
  uint64_t drop_malformed;  // authentic, and not understood: a peer of another version
  uint64_t displaced;       // flows of peers that gave way to newer ones, as the table was full
  uint64_t expired;         // that nobody has refreshed
  std::array<PeerStatus, kMaxPeers> peer;
};

}  // namespace sluice::channel
