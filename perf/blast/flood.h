// SPDX-License-Identifier: Apache-2.0
//
// A SYN flood: opening segments from ever new made-up endpoints that never answer. They come from addresses apart from
// the clients': 100.64.0.0/10 (RFC 6598) and 2001:db8:f100::/40.
#pragma once

#include <cstdint>

#include "perf/blast/link.h"
#include "perf/blast/segment.h"
#include "perf/lib/synthetic.h"

namespace sluice::blast {

class Flood {
 public:
  /// `rate`: SYNs a second; 0 = as many as the link takes.
  Flood(Link& link, const MacAddress& gateway, const Endpoint& vip, double rate, uint64_t tsc_hz);

  /// Sends what is due.
  void go_on(uint64_t now);

  uint64_t sent() const { return sent_; }

 private:
  static constexpr uint32_t kBurst = 32;

  Link& link_;
  Path path_;
  Segment syn_;
  perf::Random random_{0xf100d};
  double per_cycle_;
  uint64_t began_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace sluice::blast
