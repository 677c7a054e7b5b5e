// SPDX-License-Identifier: Apache-2.0
//
// Hands a client's first TLS record on to control, in pieces as its segments bring it (contract/session.h). Nothing is
// read of it here, nothing kept, and nobody waited for: where the ring has no room the hello is lost, and counted. Of
// one hello no more than kMostBytes and kMostPieces are handed on, so that a client that sends byte by byte costs
// little. Thread safety: none; one worker's.
#pragma once

#include <rte_ring.h>

#include <cstdint>
#include <span>

#include "dataplane/contract/segment.h"

namespace sluice {

/// How much of a hello was handed on.
struct HelloProgress {
  uint16_t told = 0;  // bytes
  uint8_t pieces = 0;
  bool open = false;  // more is to come
};

class HelloTeller {
 public:
  /// A hello with a post-quantum key share has some 1,900 bytes.
  static constexpr uint32_t kMostBytes = 4096;
  static constexpr uint32_t kMostPieces = 12;

  explicit HelloTeller(channel::WorkerStats& stats) noexcept : stats_(stats) {}

  void attach(rte_ring* pieces) noexcept { pieces_ = pieces; }

  /// `content`: what comes next of the hello of a session that began at `begun_ms`. Closes `hello` if there is no room.
  void tell(const Flow& flow, uint32_t begun_ms, HelloProgress& hello, std::span<const uint8_t> content) noexcept;

 private:
  bool put(const Flow& flow, uint32_t begun_ms, uint16_t at, std::span<const uint8_t> content) noexcept;

  channel::WorkerStats& stats_;
  rte_ring* pieces_ = nullptr;
};

}  // namespace sluice
