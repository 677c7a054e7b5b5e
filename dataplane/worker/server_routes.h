// SPDX-License-Identifier: Apache-2.0
//
// What control has told a worker of where the mail servers' own traffic goes. A refused table leaves the last one.
// Thread safety: none; one worker owns it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "dataplane/worker/channel_arena.h"

namespace sluice {

class ServerRoutes {
 public:
  bool is_empty() const noexcept { return listed_.table.base == nullptr; }
  /// The station to which packets for an address go; null: they are the kernel's. Its port is to be checked.
  const channel::RouteHop* find(const Address& destination) const noexcept { return listed_.table.find(destination); }

  std::optional<channel::RejectReason> put(const ChannelArena& arena,
                                           const channel::PutServerRoutes& message) noexcept {
    const auto found = arena.server_routes(message);
    if (!found) return found.error();
    listed_ = *found;
    named_ = true;
    return std::nullopt;
  }

  void begin_snapshot() noexcept { named_ = false; }
  /// What was not named since is dropped.
  void end_snapshot() noexcept {
    if (!named_) listed_ = {};
  }
  /// Drops what lies in segments older than this.
  void forget_before(uint64_t epoch) noexcept {
    if (listed_.epoch < epoch) listed_ = {};
  }
  /// The oldest segment that is in use, if that is older than `epoch`.
  uint64_t oldest_epoch(uint64_t epoch) const noexcept { return is_empty() ? epoch : std::min(epoch, listed_.epoch); }

 private:
  ListedServerRoutes listed_;
  bool named_ = false;  // in the snapshot under way
};

}  // namespace sluice
