// SPDX-License-Identifier: Apache-2.0
//
// RST segments that we make: for both ends of a flow that is cut, and in answer to a packet of a flow that is no more.
// Those for flows are at most kPerPoll in a poll iteration, or the flows of a backend that died would take it all:
// whoever cuts many asks may_make() first. Those in answer to packets have a limit for each second, or a flood from
// forged addresses would come out again towards these.
#pragma once

#include <cstdint>

#include "dataplane/base/token_bucket.h"
#include "dataplane/packet/reset.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/one_way.h"

namespace sluice {

class Resets {
 public:
  static constexpr uint32_t kPerPoll = 32;
  static constexpr uint32_t kAnswersPerSecond = 10'000;  // and so many at once

  Resets(const Context& context, OneWay& one_way) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        one_way_(one_way),
        ports_(context.setup.ports),
        answers_(kAnswersPerSecond, kAnswersPerSecond, context.clock.now_ms()) {}

  void begin_poll() noexcept { left_ = kPerPoll; }
  bool may_make() const noexcept { return left_ != 0; }

  void to_client(const Flow& flow) noexcept;
  void to_backend(const Flow& flow) noexcept;

  /// Turns a packet into the reset that answers it; `reason` says why it is not forwarded. A reset is dropped, and what
  /// is beyond the limit.
  void answer(Burst& burst, uint32_t i, Counter reason) noexcept;

 private:
  void send(uint32_t port, const MadeSegment& reset, Counter counter) noexcept;
  void send_through_tunnel(const Flow& flow, MadeSegment reset) noexcept;
  void count_one(Counter counter) noexcept {
    counters_.count(counter);
    if (left_ != 0) left_--;
  }

  const PollClock& clock_;
  Counters& counters_;
  const FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  OneWay& one_way_;
  const uint32_t ports_;
  TokenBucket answers_;
  uint32_t left_ = 0;  // that may still be made in this poll iteration
};

}  // namespace sluice
