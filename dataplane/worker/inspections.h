// SPDX-License-Identifier: Apache-2.0
//
// The inspections of one worker (contract/trace.h): which packets each wants, how many it may still have, and when it
// ends. An inspection takes at most kPacketsPerSecond, so that a filter too wide cannot starve the worker; what it
// would have taken beyond is counted. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/base/token_bucket.h"
#include "dataplane/contract/segment.h"

namespace sluice {

class Inspections {
 public:
  static constexpr uint32_t kTracesPerSecond = 2000;  // packets, of some eight records each
  static constexpr uint32_t kCopiesPerSecond = 100'000;

  /// `stats[kMaxInspections]`: where it says what became of each.
  explicit Inspections(channel::InspectionStats* stats) noexcept : stats_(stats) {}

  std::optional<channel::RejectReason> put(const channel::StartInspection& message, uint64_t now_ms) noexcept;
  std::optional<channel::RejectReason> drop(uint16_t id) noexcept;
  void drop_all() noexcept;
  /// Ends those whose time has come, or that had all their packets. To be called between bursts: what they told is out.
  void expire(uint64_t now_ms) noexcept;

  bool any() const noexcept { return active_ != 0; }

  /// The inspections that want a packet of this client in a flow of `service` and `backend`: bit i for the inspection
  /// at place i. With kNoService or kNoBackend for what is not known, `maybe` says whether inspections that ask for one
  /// want it.
  uint8_t match(const Endpoint& client, channel::ServiceId service, channel::BackendId backend,
                bool maybe) const noexcept;

  /// Those of `inspections` that may have a packet at this time; it is counted as theirs.
  uint8_t admit(uint8_t inspections, uint64_t now_ms) noexcept;
  /// Inspections that `admit` let have a packet which then was not theirs.
  void give_back(uint8_t inspections) noexcept;
  /// Something for these inspections found no room.
  void count_lost(uint8_t inspections) noexcept;

  /// Of `inspections`, those that want records, and those that want copies.
  uint8_t tracing(uint8_t inspections) const noexcept { return inspections & with_flag_[0]; }
  uint8_t capturing(uint8_t inspections) const noexcept { return inspections & with_flag_[1]; }
  /// Bytes of a frame that captures want at most; 0 = up to the end of its headers. `inspections` are capturing.
  uint32_t snap_bytes(uint8_t inspections) const noexcept;

 private:
  struct Inspection {
    channel::StartInspection wanted;
    uint64_t left = 0;
    TokenBucket bucket{0, 0, 0};
  };

  void end(uint32_t id) noexcept;

  channel::InspectionStats* stats_;
  uint8_t active_ = 0;
  std::array<uint8_t, 2> with_flag_{};  // tracing, capturing
  std::array<Inspection, channel::kMaxInspections> inspections_;
};

/// Whether the first `bits` of both are the same.
bool same_prefix(const Address& a, const Address& b, uint32_t bits) noexcept;

}  // namespace sluice
