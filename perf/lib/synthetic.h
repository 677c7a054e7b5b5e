// SPDX-License-Identifier: Apache-2.0
//
// Synthetic clients and the frames they and their backends send: everything is computed from the
// client's number, so that a generator of ten million clients has no memory of its own to disturb
// the caches that are being measured.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/contract/placement.h"
#include "dataplane/packet/packet.h"

namespace sluice::perf {

inline constexpr uint32_t kMinimalFrame = 60;  // 64 bytes on the wire with the frame check sequence

/// A cheap, good enough generator with a fixed seed (xorshift64*; Vigna 2016).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed | 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(((next() >> 32) * n) >> 32); }

 private:
  uint64_t state_;
};

/// Draws flow numbers below `n`: uniformly, or by Zipf's law with exponent 1 by inversion of its continuous form.
class FlowChooser {
 public:
  FlowChooser(uint32_t n, bool zipf, uint64_t seed);
  uint32_t next();

 private:
  uint32_t n_;
  bool zipf_;
  double log_n_;
  Random random_;
};

/// Endpoint of client number `n`: 50,000 ports per address.
Endpoint client_endpoint(uint32_t n, bool v6);

/// A frame to be copied and patched: Ethernet, IP and TCP headers, padded to `frame_bytes`. Checksums are right for the
/// endpoints it was made with; patching addresses leaves them stale, which incremental updates do not mind.
class FrameTemplate {
 public:
  /// `vlan`: of a tag, which makes the frame four bytes longer; 0 for none.
  FrameTemplate(const MacAddress& destination, const Endpoint& from, const Endpoint& to, uint32_t frame_bytes,
                uint16_t vlan = 0);

  /// Writes a frame into `out` (capacity at least frame_bytes()).
  void write(uint8_t* out, const Endpoint& from, const Endpoint& to, uint8_t flags, uint32_t sequence,
             uint32_t ack) const;

  uint32_t frame_bytes() const { return static_cast<uint32_t>(bytes_.size()); }
  /// TCP payload of a frame without SYN or FIN.
  uint32_t payload_bytes() const { return payload_bytes_; }

 private:
  std::vector<uint8_t> bytes_;
  bool v6_;
  uint32_t l3_offset_;
  uint32_t payload_bytes_;
};

}  // namespace sluice::perf
