// SPDX-License-Identifier: Apache-2.0
//
// Fragments of TCP segments (RFC 791 section 3.2, RFC 8200 section 4.5). Only a datagram's first fragment carries
// ports; it leaves them in a small table under source, destination and identification, and later fragments take them
// from there. So a fragment finds its flow like any segment. The first fragment is translated like a whole segment: the
// checksum in it is the datagram's, and its incremental update is right for all of it. Of later ones only addresses
// change.
//
// Fragments are not held: one that comes before its first one is dropped, and TCP sends again. A flow of
// fragments is rare enough, and a buffer that strangers can fill is worth avoiding (RFC 4963, RFC 6274 section 3.9).
//
// Bounded: kSets sets of kWays places, the oldest of a set is taken again. All that a source sends to one destination
// is in one set: whoever sends many displaces his own. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/packet/packet.h"

namespace sluice {

class FragmentTable {
 public:
  static constexpr uint32_t kSets = 128;
  static constexpr uint32_t kWays = 8;
  static constexpr uint32_t kLifetimeMs = 30'000;

  /// `seed`: a secret, lest strangers choose which set they fill.
  explicit FragmentTable(uint64_t seed) noexcept : seed_(seed) {}

  /// Keeps what the first fragment `packet` says of its datagram. An identification used again replaces what was there.
  void remember(const Packet& packet, uint64_t now_ms) noexcept;

  /// Fills in the ports of the later fragment `packet`, whose data begin `offset_bytes` into the datagram. False if its
  /// first one was not seen within kLifetimeMs, or its data overlap the TCP header in that.
  bool complete(Packet& packet, uint32_t offset_bytes, uint64_t now_ms) const noexcept;

 private:
  struct Entry {
    Endpoint source;
    Endpoint destination;
    uint32_t id;
    uint32_t seen_ms;           // low 32 bits
    uint16_t tcp_header_bytes;  // 0: free
  };

  uint32_t set_of(const Packet& packet) const noexcept;
  static bool is_of(const Entry& entry, const Packet& packet) noexcept;
  static bool is_fresh(const Entry& entry, uint64_t now_ms) noexcept;

  uint64_t seed_;
  std::array<std::array<Entry, kWays>, kSets> sets_{};
};

/// Where in its datagram the later fragment in `mbuf` begins, in bytes.
uint32_t fragment_offset_bytes(const rte_mbuf& mbuf, const Packet& packet) noexcept;

/// Replaces the addresses of a later fragment and takes one hop off.
void rewrite_fragment(rte_mbuf& mbuf, const Packet& packet, const Address& source, const Address& destination) noexcept;

}  // namespace sluice
