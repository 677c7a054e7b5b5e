// SPDX-License-Identifier: Apache-2.0
//
// A burst of frames in mbufs, for benchmarks of what is done to one packet when its bytes are in the cache.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/flow/flow_memory.h"
#include "dataplane/packet/packet.h"

namespace sluice::perf {

inline constexpr MacAddress kFramesMac{{0x02, 0, 0, 0, 0, 0x01}};

struct Frames {
  static constexpr uint32_t kCount = 32;

  /// TCP segments of clients 0 to kCount - 1 to `service.vip`, with right checksums. Needs the EAL, memory for one set.
  Frames(uint32_t frame_bytes, bool v6);
  ~Frames();
  Frames(const Frames&) = delete;

  std::array<rte_mbuf*, kCount> mbuf;
  std::array<Packet, kCount> packet;  // parsed
  Service service{};                  // what they are sent to
  Backend backend{};                  // where they would go
};

}  // namespace sluice::perf
