// SPDX-License-Identifier: Apache-2.0
//
// The exception path: frames that are not whole TCP segments. ICMP errors and fragments follow the flow that they
// belong to; they wait until the segments received with them are dealt with, so that they neither overtake their flow
// nor slow down the others. What else is sound goes to the kernel, what is broken is dropped. Thread safety: none; one
// worker owns it.
#pragma once

#include <array>

#include "dataplane/worker/burst.h"
#include "dataplane/worker/fragment_relay.h"
#include "dataplane/worker/icmp_relay.h"

namespace sluice {

class ExceptionPath {
 public:
  ExceptionPath(Egress& egress, Punt& punt, IcmpRelay& icmp, FragmentRelay& fragments) noexcept
      : egress_(egress), punt_(punt), icmp_(icmp), fragments_(fragments) {}

  /// Frames that wait.
  uint32_t waiting() const noexcept { return count_; }
  ExceptionFrame& frame(uint32_t i) noexcept { return frames_[i]; }
  void put(const ExceptionFrame& frame) noexcept { frames_[count_++] = frame; }
  void clear() noexcept { count_ = 0; }

  /// Deals with all that wait.
  void process() noexcept {
    for (uint32_t i = 0; i < count_; i++) pass(frames_[i]);
    count_ = 0;
  }
  void pass(ExceptionFrame& frame) noexcept {
    if (frame.verdict == ParseVerdict::kIcmp) {
      icmp_.pass(frame);
    } else {
      fragments_.pass(frame);
    }
  }

  /// For a frame that is of no use here (`verdict`: none of those of TCP and ICMP).
  void punt_or_drop(uint32_t port, rte_mbuf* mbuf, ParseVerdict verdict) noexcept {
    if (verdict == ParseVerdict::kOther) return punt_.punt(port, mbuf);
    if (verdict == ParseVerdict::kOtherHost) return egress_.drop(mbuf, Counter::kDropOtherHost);
    if (verdict == ParseVerdict::kV4Mapped) return egress_.drop(mbuf, Counter::kDropV4Mapped);
    if (verdict == ParseVerdict::kDoubleTagged) return egress_.drop(mbuf, Counter::kDropDoubleTag);
    egress_.drop(mbuf, verdict == ParseVerdict::kTruncated ? Counter::kDropTruncated : Counter::kDropMalformed);
  }

 private:
  Egress& egress_;
  Punt& punt_;
  IcmpRelay& icmp_;
  FragmentRelay& fragments_;
  uint32_t count_ = 0;
  std::array<ExceptionFrame, Burst::kSize> frames_;
};

}  // namespace sluice
