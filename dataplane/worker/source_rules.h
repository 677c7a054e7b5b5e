// SPDX-License-Identifier: Apache-2.0
//
// What control has told a worker of sources: who may not begin sessions, for whom no limit holds, the limits, and who
// has a table of his own in a service. Commands are checked before they take effect; a refused command changes nothing.
//
// Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/contract/limits.h"
#include "dataplane/worker/channel_arena.h"

namespace sluice {

class SourceRules {
 public:
  using Refused = std::optional<channel::RejectReason>;

  static constexpr size_t kAtOnce = channel::SourceListView::kAtOnce;

  bool has_blocked() const noexcept { return sources_[channel::kBlockedSources].list.base != nullptr; }
  /// Whether control has said that these sources may not begin sessions: in `blocked`. All are of one family, at most
  /// kAtOnce.
  void are_blocked(std::span<const Address* const> sources, std::span<bool> blocked) const noexcept {
    sources_[channel::kBlockedSources].list.contains(sources, blocked);
  }
  /// Whether control has said that this source may not begin sessions, and that it is to hear so.
  bool is_refused(const Address& source) const noexcept { return lists(channel::kRefusedSources, source); }
  /// Whether no limit holds for this source.
  bool is_exempt(const Address& source) const noexcept { return lists(channel::kExemptSources, source); }

  /// The limits on a source's sessions, and by what layout they are counted; 0 = there are none.
  const channel::LimitRules& limits() const noexcept { return limits_; }
  uint64_t limits_layout() const noexcept { return limits_layout_; }

  /// The route by which a client's new flows are placed in a service; kMaxRoutes if none is.
  uint16_t route_of(channel::ServiceId service, const Address& client) const noexcept {
    return routes_ == 0 ? channel::kMaxRoutes : find_route(service, client);
  }
  /// The table of a route.
  const BackendTable& table(uint16_t route) const noexcept { return route_[route].table; }

  Refused put_sources(const ChannelArena& arena, const channel::PutSources& message) noexcept;
  Refused put_limits(const ChannelArena& arena, const channel::PutLimits& message) noexcept;
  Refused put_route(const ChannelArena& arena, const channel::PutRoute& message) noexcept;

  /// What is not named from here on is dropped at the end.
  void begin_snapshot() noexcept;
  void end_snapshot() noexcept;
  /// Drops what lies in segments older than this.
  void forget_before(uint64_t epoch) noexcept;
  /// The oldest segment that is in use, if that is older than `epoch`.
  uint64_t oldest_epoch(uint64_t epoch) const noexcept;

 private:
  /// Clients that have a table of their own in a service.
  struct Route {
    channel::ServiceId service = channel::kNoService;
    ListedSources sources;
    BackendTable table;
  };

  bool lists(channel::SourceListId id, const Address& source) const noexcept {
    return sources_[id].list.contains(source);
  }
  uint16_t find_route(channel::ServiceId service, const Address& client) const noexcept;
  void drop_limits() noexcept;
  void drop_route(uint16_t id) noexcept;

  std::array<ListedSources, channel::kSourceLists> sources_;
  channel::LimitRules limits_{};
  uint64_t limits_layout_ = 0;
  std::array<Route, channel::kMaxRoutes> route_;
  uint32_t routes_ = 0;  // how many there are
  // In the snapshot under way:
  std::array<bool, channel::kSourceLists> sources_named_{};
  bool limits_named_ = false;
  std::array<bool, channel::kMaxRoutes> route_named_{};
};

}  // namespace sluice
