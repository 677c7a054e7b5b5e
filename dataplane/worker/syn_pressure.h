// SPDX-License-Identifier: Apache-2.0
//
// Whether handshakes pile up: SYNs of services with syn_proxy = "auto" are answered by us then. It begins when a
// quarter of the places for handshakes are taken, and ends when for ten seconds so few clients have left our answers
// without a word that they would have taken an eighth of these. Thread safety: none; one worker owns it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/worker/context.h"

namespace sluice {

class SynPressure {
 public:
  static constexpr uint32_t kBeginsAt = 4;  // one in so many places
  static constexpr uint32_t kEndsAt = 8;
  static constexpr uint64_t kJudgeMs = 1000;
  static constexpr uint64_t kQuietMs = 10'000;

  explicit SynPressure(const Context& context) noexcept : clock_(context.clock), counters_(context.counters) {}

  /// `places`: for handshakes; `handshake_ms`: after which one that is not finished is forgotten.
  void set_room(uint32_t places, uint32_t handshake_ms) noexcept {
    begins_at_ = std::max(places / kBeginsAt, 1U);
    most_unanswered_ = std::max<uint64_t>(uint64_t{places} / kEndsAt * kJudgeMs / std::max(handshake_ms, 1U), 1);
  }

  bool is_on() const noexcept { return on_; }

  void begin_poll() noexcept {
    if (on_) {
      if (clock_.now_ms() - judged_ms_ >= kJudgeMs) judge();
    } else if (counters_[Counter::kFlowsEmbryonicNow] >= begins_at_) [[unlikely]] {
      set(true);
    }
  }

 private:
  uint64_t unanswered() const noexcept {
    return counters_[Counter::kSynCookiesSent] - counters_[Counter::kSynCookiesAccepted];
  }

  void set(bool on) noexcept {
    on_ = on;
    judged_ms_ = loud_ms_ = clock_.now_ms();
    unanswered_ = unanswered();
    counters_.set_gauge(Counter::kSynProxyNow, on ? 1 : 0);
  }

  void judge() noexcept {
    const auto more = static_cast<int64_t>(unanswered() - unanswered_);
    if (more > static_cast<int64_t>(most_unanswered_)) loud_ms_ = clock_.now_ms();
    judged_ms_ = clock_.now_ms();
    unanswered_ = unanswered();
    // What the flood has left behind would begin it again.
    if (clock_.now_ms() - loud_ms_ >= kQuietMs && counters_[Counter::kFlowsEmbryonicNow] < begins_at_) set(false);
  }

  const PollClock& clock_;
  Counters& counters_;
  uint64_t begins_at_ = UINT64_MAX;
  uint64_t most_unanswered_ = 0;  // in kJudgeMs
  uint64_t unanswered_ = 0;
  uint64_t judged_ms_ = 0;
  uint64_t loud_ms_ = 0;
  bool on_ = false;
};

}  // namespace sluice
