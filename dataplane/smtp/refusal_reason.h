// SPDX-License-Identifier: Apache-2.0
//
// Why a server refuses, by the text of its 4xx or 5xx reply: what mail servers in the wild say (SMTP.md), matched with
// Hyperscan. Refusals are few, and a dozen phrases at once is what a multi-pattern matcher is for; codes are read by
// hand, which is many times quicker (perf/bench_reply_scan.cc).
//
// Thread safety: one object per worker; the compiled patterns are shared and never change.
#pragma once

#include <hs_runtime.h>

#include <cstdint>

#include "dataplane/contract/observation.h"

namespace sluice {

class RefusalReasons {
 public:
  /// Compiles the patterns if no one has yet, and takes scratch memory. Later calls take none.
  RefusalReasons() noexcept;
  ~RefusalReasons();
  RefusalReasons(const RefusalReasons&) = delete;
  RefusalReasons& operator=(const RefusalReasons&) = delete;

  /// One of SmtpCounter::kReasonOverload to kReasonUnknown. `text`: a reply line; at most 512 bytes are looked at.
  channel::SmtpCounter classify(const uint8_t* text, uint32_t bytes) const noexcept;

 private:
  hs_scratch_t* scratch_ = nullptr;  // null: no pattern matcher on this machine, every reason is unknown
};

}  // namespace sluice
