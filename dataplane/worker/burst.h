// SPDX-License-Identifier: Apache-2.0
//
// The packets that the stages of a poll iteration work on.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/flow/flow_table.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// Some of the packets of a burst.
template <uint32_t kSize>
class PacketSet {
 public:
  bool has(uint32_t i) const noexcept { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  void add(uint32_t i) noexcept { words_[i / 64] |= 1ULL << (i % 64); }
  void clear() noexcept { words_ = {}; }

 private:
  std::array<uint64_t, (kSize + 63) / 64> words_{};
};

/// Of all ports together, so that more memory accesses are under way at once: parallel arrays, of which the first
/// `count` are in use.
struct Burst {
  static constexpr uint32_t kSize = 2 * kMaxBurst;

  uint32_t count = 0;
  uint32_t looked_up = 0;  // so many have been looked up while others were still being parsed
  std::array<rte_mbuf*, kSize> mbuf;
  std::array<Packet, kSize> packet;
  std::array<FlowPlace, kSize> place;
  std::array<FlowIndex, kSize> flow;
  std::array<uint8_t, kSize> port;  // through which it came
  std::array<bool, kSize> from_client;
  PacketSet<kSize> source_asked;    // those of which it is known whether their source may begin sessions:
  PacketSet<kSize> source_blocked;  // these may not

  void clear() noexcept {
    count = looked_up = 0;
    source_asked.clear();
    source_blocked.clear();
  }
};

/// A SYN that asks for a connection.
inline bool is_opening(const Packet& packet) noexcept {
  return (packet.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpSyn;
}

}  // namespace sluice
