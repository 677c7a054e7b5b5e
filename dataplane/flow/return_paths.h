// SPDX-License-Identifier: Apache-2.0
//
// Where clients without a flow entry were last heard from: by address, as a client's many connections come the same
// way. A cache of kSets sets of kWays places; the least recently written of a set is taken again. Only those whose
// packets are forwarded without an entry are in it, so that being in it also tells such a client from our own
// addresses. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/address.h"

namespace sluice {

/// The station, VLAN and port through which a client is reached.
struct ReturnPath {
  MacAddress mac;
  uint16_t vlan = 0;
  uint8_t port = 0;
};

class ReturnPaths {
 public:
  static constexpr uint32_t kSets = 4096;
  static constexpr uint32_t kWays = 4;
  static constexpr uint32_t kLifetimeMs = 7'440'000;  // as long as RFC 5382 REQ-5 keeps a silent connection

  /// `seed`: a secret, lest strangers choose which set they fill.
  explicit ReturnPaths(uint64_t seed) noexcept : seed_(seed) {}

  void remember(const Address& client, const ReturnPath& path, uint64_t now_ms) noexcept;

  /// Null if the client was not heard from within kLifetimeMs, or has been displaced.
  const ReturnPath* find(const Address& client, uint64_t now_ms) const noexcept;

 private:
  struct Entry {
    Address client;
    uint32_t written_ms = 0;  // low 32 bits
    bool in_use = false;
    ReturnPath path;
  };

  uint32_t set_of(const Address& client) const noexcept;

  uint64_t seed_;
  std::array<std::array<Entry, kWays>, kSets> sets_{};
};

}  // namespace sluice
