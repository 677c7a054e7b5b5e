// SPDX-License-Identifier: Apache-2.0
//
// The options of a TCP header (RFC 9293 section 3.1): found one by one, what a SYN announces by them, and a timestamps
// option.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/packet/packet.h"

namespace sluice {

namespace tcp_option {
inline constexpr uint8_t kEnd = 0, kNoOperation = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5,
                         kTimestamps = 8, kFastOpen = 34, kExperiment = 254;
inline constexpr uint8_t kMssBytes = 4, kWindowScaleBytes = 3, kSackPermittedBytes = 2, kTimestampsBytes = 10;
inline constexpr uint8_t kLargestScale = 14;
}  // namespace tcp_option

/// Calls `visit(at, bytes)` for each option but no-operations: where in the header it begins, and its length. Ends at
/// the first that does not fit, which is its receiver's to judge. Returns whether all were well formed.
template <typename Visit>
bool for_each_option(const uint8_t* tcp_header, uint32_t header_bytes, Visit visit) {
  uint32_t at = tcp::kBytes;
  while (at < header_bytes && tcp_header[at] != tcp_option::kEnd) {
    if (tcp_header[at] == tcp_option::kNoOperation) {
      at++;
      continue;
    }
    const uint32_t bytes = at + 1 < header_bytes ? tcp_header[at + 1] : 0U;
    if (bytes < 2 || at + bytes > header_bytes) return false;
    visit(at, bytes);
    at += bytes;
  }
  return true;
}

/// Values as they lie in the option.
struct TcpTimestamps {
  uint32_t value;
  uint32_t echo;
};

/// A segment's timestamps option (RFC 7323 section 3.2), if it has one.
inline std::optional<TcpTimestamps> find_timestamps(const uint8_t* tcp_header, uint32_t header_bytes) {
  std::optional<TcpTimestamps> out;
  for_each_option(tcp_header, header_bytes, [&](uint32_t at, uint32_t bytes) {
    if (tcp_header[at] == tcp_option::kTimestamps && bytes == tcp_option::kTimestampsBytes)
      out = {load<uint32_t>(tcp_header + at + 2), load<uint32_t>(tcp_header + at + 6)};
  });
  return out;
}

/// Whether a header's options are timestamps alone, aligned as is usual (RFC 7323 appendix A): what nearly every
/// segment has that has any. And where their two words are then.
inline constexpr uint32_t kTimestampsValueAt = tcp::kBytes + 4, kTimestampsEchoAt = tcp::kBytes + 8;
inline bool has_only_timestamps(const uint8_t* tcp_header, uint32_t header_bytes) {
  constexpr uint32_t kFour = tcp_option::kNoOperation << 24 | tcp_option::kNoOperation << 16 |
                             tcp_option::kTimestamps << 8 | tcp_option::kTimestampsBytes;
  return header_bytes == tcp::kBytes + 12 && load<Be32>(tcp_header + tcp::kBytes).host() == kFour;
}

/// Such an option, aligned as is usual.
inline std::array<uint8_t, 12> timestamps_option(uint32_t value, uint32_t echo) {
  std::array<uint8_t, 12> out{tcp_option::kNoOperation, tcp_option::kNoOperation, tcp_option::kTimestamps,
                              tcp_option::kTimestampsBytes};
  store(&out[4], value);
  store(&out[8], echo);
  return out;
}

/// What a SYN or SYN-ACK announces.
struct Announced {
  static constexpr uint16_t kDefaultMss = 536;  // RFC 9293 section 3.7.1

  std::optional<uint8_t> window_scale;  // at most 14 (RFC 7323 section 2.3)
  std::optional<TcpTimestamps> timestamps;
  uint16_t mss = kDefaultMss;
  bool sack = false;
};

inline Announced announced_by(const uint8_t* tcp_header, uint32_t header_bytes) {
  Announced out;
  for_each_option(tcp_header, header_bytes, [&](uint32_t at, uint32_t bytes) {
    const uint8_t* option = tcp_header + at;
    const auto is = [&](uint8_t kind, uint8_t length) { return option[0] == kind && bytes == length; };
    if (is(tcp_option::kMss, tcp_option::kMssBytes)) out.mss = load<Be16>(option + 2).host();
    if (is(tcp_option::kWindowScale, tcp_option::kWindowScaleBytes))
      out.window_scale = std::min(option[2], tcp_option::kLargestScale);
    if (is(tcp_option::kSackPermitted, tcp_option::kSackPermittedBytes)) out.sack = true;
    if (is(tcp_option::kTimestamps, tcp_option::kTimestampsBytes))
      out.timestamps = {load<uint32_t>(option + 2), load<uint32_t>(option + 6)};
  });
  return out;
}

}  // namespace sluice
