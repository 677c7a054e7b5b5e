// SPDX-License-Identifier: Apache-2.0
//
// Bounds the flows in handshake: a ring of them, oldest first, where a new one takes the place of the one that has been
// here longest. So a SYN flood displaces its own, and the table keeps room for those that finish. A flow's place in the
// ring lies in its `bytes_up` while it is embryonic. Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/flow/flow_table.h"

namespace sluice {

class EmbryonicRing {
 public:
  static constexpr uint32_t kSize = 1U << 17;

  explicit EmbryonicRing(FlowTable& flows) noexcept;

  /// So many flows at once, a power of two: a quarter of the table at most, and at least 64.
  uint32_t limit() const noexcept { return limit_; }

  /// Takes a flow in. Returns the one that it displaces, still embryonic and to be forgotten, or kNoFlow.
  FlowIndex join(FlowIndex index) noexcept;

  /// The flow that has been here longest and is still embryonic; kNoFlow if there is none, or none was met soon among
  /// the places of those that have left: the next call goes on from there.
  FlowIndex oldest() noexcept;

 private:
  bool is_at(FlowIndex index, uint32_t position) const noexcept {
    const Flow& flow = flows_[index];
    return is_embryonic(flow.state) && flow.bytes_up == position;
  }

  FlowTable& flows_;
  uint32_t limit_;
  uint32_t next_ = 0;
  uint32_t last_ = 0;  // those that joined before are not here any more
  std::array<FlowIndex, kSize> ring_;
};

}  // namespace sluice
