// SPDX-License-Identifier: Apache-2.0
//
// A worker's end of the channel: takes control's commands, has them applied, and tells of those it refused. Thread
// safety: one worker owns it; what it shares with control and the main lcore names its partner where it is used.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/worker/forwarding_state.h"
#include "dataplane/worker/inspector.h"
#include "dataplane/worker/router_moves.h"
#include "dataplane/worker/session_recorder.h"

namespace sluice {

class CommandChannel {
 public:
  CommandChannel(const WorkerSetup& setup, const PollClock& clock, Counters& counters, ForwardingState& state,
                 Inspector& inspector, RouterMoves& router_moves, SmtpObserver& observer,
                 SessionRecorder& records) noexcept
      : setup_(setup),
        clock_(clock),
        counters_(counters),
        state_(state),
        inspector_(inspector),
        router_moves_(router_moves),
        observer_(observer),
        records_(records) {}

  /// Moves to a new connection if there is one, and applies some commands. Returns whether there were any.
  bool poll() noexcept;

 private:
  static constexpr uint32_t kCommandsPerPoll = 32;

  void attach(const ChannelAttachment& attachment) noexcept;
  std::optional<channel::RejectReason> apply(const channel::Command& command) noexcept;
  void reject(const channel::Command& command, channel::RejectReason reason) noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  ForwardingState& state_;
  Inspector& inspector_;
  RouterMoves& router_moves_;
  SmtpObserver& observer_;
  SessionRecorder& records_;
  uint64_t epoch_ = 0;
  rte_ring* commands_ = nullptr;
  rte_ring* events_ = nullptr;
};

}  // namespace sluice
