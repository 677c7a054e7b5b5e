// SPDX-License-Identifier: Apache-2.0
//
// What peers have told of their flows: buckets of eight entries of a cache line each, found by the client's endpoint.
// The exchange's thread alone writes; workers read without a lock.
//
// An entry is eight words, each read and written whole. The first holds its version and when it was last told. Version
// 0: it has never been used; odd: it is being written; even: the words are of one flow, or of none (kGone). The law: a
// reader takes what it has read only if the version was even before and is the same after; a writer makes it odd before
// it touches the other words, and even, and larger, after. What is displaced is only knowledge: a packet that finds no
// entry is dealt with as if no peer had told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "dataplane/flow/keyed_hash.h"
#include "dataplane/peers/told_flow.h"

namespace sluice {

class ToldTable {
 public:
  static constexpr uint32_t kPlaces = 8;  // of a bucket

  /// What became of put().
  enum class Put : uint8_t { kNew, kRefreshed, kDisplaced, kNoRoom };

  /// Entries for `flows` of peers, a power of two.
  static size_t capacity_for(uint64_t flows) noexcept;
  static size_t bytes_for(uint64_t flows) noexcept { return capacity_for(flows) * sizeof(Entry); }

  /// `memory`: bytes_for(flows) zeroes. `seed`: secret, so that clients cannot aim at one bucket.
  ToldTable(std::byte* memory, uint64_t flows, uint64_t seed) noexcept;

  // Any thread.
  /// The flow of `client` to `vip` as a peer has told it, if one has.
  std::optional<ToldFlow> from_client(const Endpoint& client, const Endpoint& vip) const noexcept;
  /// The nat flow of `client` that `backend` is in.
  std::optional<ToldFlow> from_backend(const Endpoint& client, const Endpoint& backend) const noexcept;

  // The writer alone.
  /// A flow, not ended, that `peer` (below 16) has told at `now_s`. It replaces what was told of it before. In a full
  /// bucket one gives way that is only placed, else the one that was told longest ago; but none that is open gives way
  /// to one that is placed.
  Put put(const ToldFlow& flow, uint32_t peer, uint32_t now_s) noexcept;
  /// It has ended. Returns whether it was known.
  bool erase(const Endpoint& client, const Endpoint& vip) noexcept;
  /// Visits `count` entries from `position` on and erases those for which `is_over(peer, age in s)`. Returns how many.
  template <typename IsOver>
  uint32_t sweep(size_t position, size_t count, uint32_t now_s, IsOver is_over) noexcept {
    uint32_t erased = 0;
    for (size_t i = position; i < position + count && i < capacity_; i++) {
      const Entry& entry = entries_[i];
      if (entry.version() == 0 || stage_of(entry.kind()) == FlowStage::kEnded) continue;
      if (!is_over(peer_of(entry.kind()), now_s - entry.told_s())) continue;
      clear(entries_[i]);
      erased++;
    }
    return erased;
  }

  size_t capacity() const noexcept { return capacity_; }
  size_t size() const noexcept { return size_; }

 private:
  // client 18, vip 18, backend 18, kind, proxy bytes: seven words.
  static constexpr size_t kWords = 7;
  static constexpr size_t kKindAt = 54, kProxyAt = 55;
  struct Names {
    uint64_t words[kWords];
  };
  struct alignas(64) Entry {
    uint64_t head;  // version in the low half, seconds in the upper
    Names names;

    uint32_t version() const noexcept { return static_cast<uint32_t>(__atomic_load_n(&head, __ATOMIC_RELAXED)); }
    uint32_t told_s() const noexcept { return static_cast<uint32_t>(__atomic_load_n(&head, __ATOMIC_RELAXED) >> 32); }
    uint8_t kind() const noexcept {
      return static_cast<uint8_t>(__atomic_load_n(&names.words[kKindAt / 8], __ATOMIC_RELAXED) >> kKindAt % 8 * 8);
    }
  };
  static_assert(sizeof(Entry) == 64);

  // Kind: peer in the upper four bits, a bit for kOpen, forwarding in the lower three, or there kGone for kEnded.
  static uint8_t kind_of(const ToldFlow& flow, uint32_t peer) noexcept {
    const uint8_t stage = flow.stage == FlowStage::kOpen ? 0x08 : 0;
    return static_cast<uint8_t>(peer << 4 | stage | static_cast<uint8_t>(flow.forwarding));
  }
  static constexpr uint8_t kGone = 0x07;  // in place of a forwarding
  static FlowStage stage_of(uint8_t kind) noexcept {
    if ((kind & kGone) == kGone) return FlowStage::kEnded;
    return (kind & 0x08) != 0 ? FlowStage::kOpen : FlowStage::kPlaced;
  }
  static uint32_t peer_of(uint8_t kind) noexcept { return kind >> 4; }

  static Names pack(const ToldFlow& flow, uint8_t kind) noexcept;
  static ToldFlow unpack(const Names& names) noexcept;
  static std::optional<ToldFlow> read(const Entry& entry) noexcept;
  static bool gives_way_before(const Entry& a, const Entry& b) noexcept;
  void write(Entry& entry, const Names& names, uint32_t now_s) noexcept;
  void clear(Entry& entry) noexcept;
  Entry* bucket_of(const Endpoint& client) const noexcept {
    return &entries_[(keyed_hash(client, seed_) & mask_) * kPlaces];
  }
  template <typename Wanted>
  std::optional<ToldFlow> find(const Endpoint& client, Wanted wanted) const noexcept;

  Entry* entries_;
  size_t capacity_;
  uint64_t mask_;  // of buckets
  uint64_t seed_;
  size_t size_ = 0;
};

}  // namespace sluice
