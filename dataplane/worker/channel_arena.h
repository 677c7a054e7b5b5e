// SPDX-License-Identifier: Apache-2.0
//
// The arena of the channel's segment, in which control lays tables and lists for workers to read. What a command says
// of it is checked to lie within it. A table or list stays where it is while other segments come: each says of which
// connection it is.
//
// Thread safety: none; one worker owns it.
#pragma once

#include <cstdint>
#include <cstring>
#include <expected>

#include "dataplane/contract/segment.h"
#include "dataplane/contract/server_routes.h"
#include "dataplane/contract/source_list.h"
#include "dataplane/worker/setup.h"

namespace sluice {

/// A table of backends. Its entries are control's words: check each before use.
struct BackendTable {
  const channel::BackendId* entries = nullptr;
  uint32_t count = 0;
  uint32_t generation = 0;
  uint64_t epoch = 0;  // of the segment it lies in
};

/// A list of sources.
struct ListedSources {
  channel::SourceListView list;
  uint64_t epoch = 0;  // of the segment it lies in
};

/// Where the mail servers' own traffic goes.
struct ListedServerRoutes {
  channel::ServerRoutesView table;
  uint64_t epoch = 0;  // of the segment it lies in
};

class ChannelArena {
 public:
  template <typename T>
  using Found = std::expected<T, channel::RejectReason>;

  void attach(const ChannelAttachment& attachment) noexcept { attachment_ = attachment; }
  /// Of the connection.
  uint64_t epoch() const noexcept { return attachment_.epoch; }

  /// `offset`, here and below: in units of kArenaUnit bytes from the arena's start.
  Found<BackendTable> table(uint32_t offset, uint32_t entries, uint32_t generation) const noexcept {
    if (!holds(offset, uint64_t{entries} * sizeof(channel::BackendId))) return out_of_arena();
    if (entries == 0) return BackendTable{};
    return BackendTable{reinterpret_cast<const channel::BackendId*>(at(offset)), entries, generation, epoch()};
  }

  /// Of no borders at all, it names nobody.
  Found<ListedSources> list(uint32_t offset, uint32_t v4_borders, uint32_t v6_borders) const noexcept {
    if (v4_borders > channel::kMaxSourceBorders || v6_borders > channel::kMaxSourceBorders)
      return std::unexpected(channel::RejectReason::kBadSources);
    const auto layout = channel::SourceListLayout::of(v4_borders, v6_borders);
    if (!holds(offset, layout.bytes())) return out_of_arena();
    if (layout.bytes() == 0) return ListedSources{};
    return ListedSources{{layout, at(offset)}, epoch()};
  }

  /// Of no borders at all, it leads nowhere.
  Found<ListedServerRoutes> server_routes(const channel::PutServerRoutes& message) const noexcept {
    constexpr uint32_t kMost = channel::kMaxServerRouteBorders;
    if (message.v4_borders > kMost || message.v6_borders > kMost || message.hops > channel::kMaxServerHops)
      return std::unexpected(channel::RejectReason::kBadServerRoutes);
    if (message.v4_borders + message.v6_borders == 0) return ListedServerRoutes{};
    const auto layout = channel::ServerRoutesLayout::of(message.v4_borders, message.v6_borders, message.hops);
    if (!holds(message.offset, layout.bytes())) return out_of_arena();
    return ListedServerRoutes{{layout, at(message.offset)}, epoch()};
  }

  template <typename T>
  Found<T> copy(uint32_t offset) const noexcept {
    if (!holds(offset, sizeof(T))) return out_of_arena();
    T out;
    std::memcpy(&out, at(offset), sizeof out);
    return out;
  }

 private:
  static std::unexpected<channel::RejectReason> out_of_arena() noexcept {
    return std::unexpected(channel::RejectReason::kTableOutOfArena);
  }
  bool holds(uint32_t offset, uint64_t bytes) const noexcept {
    if (bytes == 0) return true;
    const uint64_t end = uint64_t{offset} * channel::kArenaUnit + bytes;
    return attachment_.base != nullptr && end <= channel::kArenaBytes &&
           attachment_.arena_offset + end <= attachment_.bytes;
  }
  const std::byte* at(uint32_t offset) const noexcept {
    return attachment_.base + attachment_.arena_offset + uint64_t{offset} * channel::kArenaUnit;
  }

  ChannelAttachment attachment_;
};

}  // namespace sluice
