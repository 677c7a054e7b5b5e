// SPDX-License-Identifier: Apache-2.0
//
// Follows one direction of a TLS stream from record to record (RFC 8446 section 5.1) as it comes, cut anywhere. Only
// headers are read, and the level of an alert that is not encrypted.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice {

enum class TlsContent : uint8_t { kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22, kApplicationData = 23 };

enum class TlsResult : uint8_t {
  kIncomplete,  // the bytes ended first
  kRecord,      // a record of type `content` has begun
  kFatalAlert,  // an alert in the clear that ends the handshake
  kMalformed,   // not TLS
};

/// Between two bytes of a stream. A fresh one stands before a record.
struct TlsStream {
  uint16_t left = 0;     // bytes of the current record still to come
  uint8_t position = 0;  // within a header; 5: at an alert's level
  TlsContent content{};

  bool begun() const { return left != 0 || position != 0; }
};

inline constexpr uint32_t kTlsHeaderBytes = 5;
inline constexpr uint32_t kTlsLargestRecord = 16384 + 2048;  // TLS 1.2 (RFC 5246 section 6.2.3)

namespace detail {

/// Takes in one byte of a header. False: this is no TLS record.
inline bool take_byte(TlsStream& stream, uint8_t c) {
  switch (stream.position++) {
    case 0:
      stream.content = static_cast<TlsContent>(c);
      return c >= 20 && c <= 23;
    case 1:
      return c == 3;
    case 2:
      return c <= 4;
    case 3:
      stream.left = static_cast<uint16_t>(c << 8);
      return true;
    default:
      stream.left = static_cast<uint16_t>(stream.left | c);
      return stream.left <= kTlsLargestRecord;
  }
}

}  // namespace detail

/// Reads on from `at` to the next record, or to `end`. Moves `at` behind what was read.
inline TlsResult read_record(const uint8_t*& at, const uint8_t* end, TlsStream& stream) {
  constexpr uint8_t kFatal = 2;
  constexpr uint32_t kPlainAlertBytes = 2;
  while (at != end) {
    if (stream.position == 0 && stream.left != 0) {
      const auto skipped = std::min<uint32_t>(stream.left, static_cast<uint32_t>(end - at));
      at += skipped;
      stream.left = static_cast<uint16_t>(stream.left - skipped);
      continue;
    }
    if (stream.position == kTlsHeaderBytes) {
      stream.position = 0;
      stream.left--;
      if (*at++ == kFatal) return TlsResult::kFatalAlert;
      continue;
    }
    if (!detail::take_byte(stream, *at++)) return TlsResult::kMalformed;
    if (stream.position < kTlsHeaderBytes) continue;
    if (stream.content == TlsContent::kAlert && stream.left == kPlainAlertBytes) continue;
    stream.position = 0;
    return TlsResult::kRecord;
  }
  return TlsResult::kIncomplete;
}

}  // namespace sluice
