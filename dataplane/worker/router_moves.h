// SPDX-License-Identifier: Apache-2.0
//
// Routers that have moved to another MAC address. A flow's replies go where its client's last packet came from; when
// that station is gone and the server is the next to speak, control tells where its address has moved (VRRP, a firewall
// pair), and a hand goes round the table and takes its flows along, some in each poll iteration. A client that is heard
// afterwards has the last word, as ever. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/worker/context.h"

namespace sluice {

class RouterMoves {
 public:
  static constexpr uint32_t kMoves = 16;           // that one round can have in hand
  static constexpr uint64_t kVisitsPerPoll = 512;  // of flows

  explicit RouterMoves(const Context& context) noexcept
      : setup_(context.setup), counters_(context.counters), flows_(context.flows) {}

  /// From now on what went to `message.from` behind the port goes to `message.to`.
  std::optional<channel::RejectReason> add(const channel::MoveRouter& message) noexcept;

  /// Visits some flows. Returns whether there were any.
  bool sweep() noexcept;

 private:
  void follow(Flow& flow) noexcept;

  const WorkerSetup& setup_;
  Counters& counters_;
  FlowTable& flows_;
  std::array<channel::MoveRouter, kMoves> moves_{};  // oldest first
  uint32_t count_ = 0;
  FlowIndex hand_ = 0;
  uint64_t left_ = 0;  // flows to be visited
};

}  // namespace sluice
