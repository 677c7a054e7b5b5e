// SPDX-License-Identifier: Apache-2.0
//
// ICMP errors that we make: only "too big", for path MTU discovery (RFC 1191, RFC 8201), and no more than a token
// bucket lets through (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4).
#pragma once

#include <cstdint>

#include "dataplane/base/token_bucket.h"
#include "dataplane/worker/burst.h"
#include "dataplane/worker/context.h"

namespace sluice {

class IcmpErrors {
 public:
  static constexpr uint32_t kPerSecond = 1000;
  static constexpr uint32_t kBurst = 50;

  explicit IcmpErrors(const Context& context) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        egress_(context.egress),
        tokens_(kPerSecond, kBurst, context.clock.now_ms()) {}

  /// The error that tells the sender of a packet that the way ahead takes no more than `mtu`. Null if there have been
  /// too many lately, or there is no memory.
  rte_mbuf* make_too_big(const rte_mbuf& mbuf, const Packet& packet, uint16_t mtu) noexcept;
  /// Drops a packet and tells its sender.
  void answer_too_big(Burst& burst, uint32_t i, uint16_t mtu) noexcept;

 private:
  const PollClock& clock_;
  Counters& counters_;
  Egress& egress_;
  TokenBucket tokens_;
};

}  // namespace sluice
