// SPDX-License-Identifier: Apache-2.0
//
// The limits on a source's sessions. A new connection is judged when its SYN comes, which counts nothing, and again
// when its handshake ends, which counts it: what was let through while others were in their handshakes beside it is
// found over the limit then. What it has counted it gives back when the session ends, however it ends.
//
// A flow is counted if it is open and its index is below a hand. Where the rules count otherwise than before, the hand
// begins at the first flow and goes over the table, a little in each poll iteration, and counts what is open: so no
// flow has to remember by what it was counted, and the flows of an earlier process are counted like any other. Thread
// safety: none; one worker owns it, the counts are shared (flow/limit_counts.h).
#pragma once

#include <array>
#include <optional>

#include "dataplane/flow/limit_counts.h"
#include "dataplane/worker/context.h"

namespace sluice {

class SourceLimits {
 public:
  static constexpr uint32_t kFlowsPerPoll = 2048;  // that the hand passes

  explicit SourceLimits(const Context& context) noexcept;

  /// Control may have told other rules.
  void follow() noexcept;
  /// Moves the hand. Returns whether it had to.
  bool sweep() noexcept;

  /// What a new connection is to hear, if it is over a limit; it is counted as refused then.
  std::optional<channel::LimitAction> refuses(const Address& source, channel::ServiceId service) noexcept {
    const uint8_t rules = rules_of(service);
    if (rules == 0) [[likely]]
      return std::nullopt;
    return refuses_by(rules, source, service);
  }

  /// The rule by which somebody was last found over the limit, from 1 on; 0: nobody was.
  uint8_t refused_by() const noexcept { return refused_by_; }

  /// A flow is open from now on. `judged`: it ends a handshake. False: it is over a limit.
  bool open(const Flow& flow, bool judged) noexcept {
    const uint8_t rules = rules_of(flow.service);
    if (rules == 0 || !is_counted(flow)) [[likely]]
      return true;
    return open_by(rules, flow, judged);
  }
  /// It is open no more.
  void close(const Flow& flow) noexcept {
    const uint8_t rules = rules_of(flow.service);
    if (rules == 0 || !is_counted(flow)) [[likely]]
      return;
    close_by(rules, flow);
  }

 private:
  /// What is left of an address as a source.
  struct Mask {
    std::array<uint64_t, 2> v4;
    std::array<uint64_t, 2> v6;
  };

  uint8_t rules_of(channel::ServiceId service) const noexcept { return state_.sources().limits().rules_of[service]; }
  bool is_counted(const Flow& flow) const noexcept { return flows_.index_of(flow) < hand_; }
  LimitKey key(uint32_t rule, const Address& source) const noexcept;
  uint64_t now_ns() const noexcept { return clock_.now_ms() * 1'000'000; }
  LimitVerdict judge(uint32_t rule, const LimitKey& key) noexcept;
  std::optional<channel::LimitAction> refuses_by(uint8_t rules, const Address& source,
                                                 channel::ServiceId service) noexcept;
  bool open_by(uint8_t rules, const Flow& flow, bool judged) noexcept;
  void close_by(uint8_t rules, const Flow& flow) noexcept;

  const PollClock& clock_;
  FlowTable& flows_;
  const ForwardingState& state_;
  channel::WorkerStats& stats_;
  LimitCounts counts_;
  uint64_t layout_ = 0;
  FlowIndex hand_ = kNoFlow;  // behind the last: all are counted
  uint8_t refused_by_ = 0;
  std::array<Mask, channel::kMaxLimits> mask_{};
  std::array<LimitRate, channel::kMaxLimits> rate_{};
};

}  // namespace sluice
