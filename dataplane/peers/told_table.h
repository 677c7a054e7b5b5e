// SPDX-License-Identifier: Apache-2.0
//
// What peers have told of their flows: buckets of eight entries of a cache line each. The exchange's thread alone
// writes; workers read without a lock.
//
// A flow has an entry in its client's bucket, with client, VIP and backend. Where the halves of the connection have
// numbers of their own, a second one there says how they differ. With fullnat the entry names our endpoint towards the
// backend in place of the backend, and another one, in the bucket of that endpoint, names endpoint, client and backend:
// so it is found from both sides. A flow is known only if all its entries are there and name each other.
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
  enum class Put : uint8_t { kNew, kRefreshed, kKept, kDisplaced, kNoRoom };

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
  /// The fullnat flow by which `backend` is spoken with from `local`.
  std::optional<ToldFlow> from_local(const Endpoint& local, const Endpoint& backend) const noexcept;

  // The writer alone.
  /// A flow, not ended, that `peer` (below 16) has told at `now_s`. It replaces what was told of it before; but one
  /// that another peer has open is kept (kKept) where this is only placed: a SYN ends nothing. In a full
  /// bucket one gives way that is only placed, else the one that was told longest ago; but none that is open gives way
  /// to one that is placed.
  Put put(const ToldFlow& flow, uint32_t peer, uint32_t now_s) noexcept;
  /// It has ended, as anybody says, or one of two peers: what others have told since stays. Returns whether it was
  /// known.
  bool erase(const Endpoint& client, const Endpoint& vip) noexcept {
    return erase_if(client, vip, [](uint32_t) { return true; });
  }
  bool erase(const Endpoint& client, const Endpoint& vip, uint32_t teller, uint32_t or_teller) noexcept {
    return erase_if(client, vip, [&](uint32_t peer) { return peer == teller || peer == or_teller; });
  }
  /// Visits `count` entries from `position` on and erases those for which `is_over(peer, age in s)`. Returns how many
  /// flows.
  template <typename IsOver>
  uint32_t sweep(size_t position, size_t count, uint32_t now_s, IsOver is_over) noexcept {
    uint32_t erased = 0;
    for (size_t i = position; i < position + count && i < capacity_; i++) {
      const Entry& entry = entries_[i];
      if (entry.is_free() || !is_over(peer_of(entry.kind()), now_s - entry.told_s())) continue;
      erased += is_of_flow(entry.kind()) ? 1 : 0;
      clear(entries_[i]);
    }
    return erased;
  }

  /// Calls `meet(flow, peer)` for each flow among `count` entries from `position` on.
  template <typename Meet>
  void visit(size_t position, size_t count, Meet meet) const noexcept {
    for (size_t i = position; i < position + count && i < capacity_; i++) {
      const auto record = read(entries_[i]);
      const auto flow = record && is_of_flow(record->kind) ? whole(*record) : std::nullopt;
      if (flow) meet(*flow, peer_of(record->kind));
    }
  }

  size_t capacity() const noexcept { return capacity_; }  // entries
  size_t size() const noexcept { return size_; }          // flows

 private:
  /// What an entry is, in the lower three bits of its kind: a flow's, by its forwarding, or one of these.
  enum Class : uint8_t { kOfLocal = 5, kOfSplice = 6, kGone = 7 };

  // Three endpoints of 18 bytes, kind, PROXY bytes with kSpliced: seven words.
  static constexpr size_t kWords = 7;
  static constexpr size_t kKindAt = 54, kProxyAt = 55;
  static constexpr uint8_t kSpliced = 0x80;  // the flow has an entry kOfSplice
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
    bool is_free() const noexcept { return version() == 0 || class_of(kind()) == kGone; }
  };
  static_assert(sizeof(Entry) == 64);

  /// An entry as it is read and written: by which it is found, what it is of, and what it says.
  struct Record {
    Endpoint key;      // the client; kOfLocal: our endpoint
    Endpoint of;       // the VIP; kOfLocal: the client
    Endpoint towards;  // the backend; of a fullnat flow our endpoint; kOfSplice: the bytes of a ToldSplice
    uint8_t kind = kGone;
    uint8_t proxy = 0;

    /// Whether both are of the same flow, or of one that has taken the other's place.
    bool is_in_place_of(const Record& other) const noexcept {
      const bool of_local = class_of(kind) == kOfLocal;
      if (key != other.key || group_of(kind) != group_of(other.kind)) return false;
      return of_local ? towards == other.towards : of == other.of;
    }
  };

  // Kind: peer in the upper four bits, a bit for kOpen, class in the lower three.
  static uint8_t kind_of(const ToldFlow& flow, uint32_t peer, uint8_t its_class) noexcept {
    const uint8_t stage = flow.stage == FlowStage::kPlaced ? 0 : 0x08;
    return static_cast<uint8_t>(peer << 4 | stage | its_class);
  }
  static uint8_t class_of(uint8_t kind) noexcept { return kind & 0x07; }
  static bool is_of_flow(uint8_t kind) noexcept { return class_of(kind) < kOfLocal; }
  static uint8_t group_of(uint8_t kind) noexcept { return is_of_flow(kind) ? 0 : class_of(kind); }
  static bool is_open(uint8_t kind) noexcept { return (kind & 0x08) != 0; }
  static uint32_t peer_of(uint8_t kind) noexcept { return kind >> 4; }

  static Names pack(const Record& record) noexcept;
  static std::optional<Record> read(const Entry& entry) noexcept;
  static bool gives_way_before(const Entry& a, const Entry& b) noexcept;
  void write(Entry& entry, const Record& record, uint32_t now_s) noexcept;
  void clear(Entry& entry) noexcept;
  Put put(const Record& record, uint32_t now_s) noexcept;
  Entry* bucket_of(const Endpoint& key) const noexcept { return &entries_[(keyed_hash(key, seed_) & mask_) * kPlaces]; }
  /// The entry of `key` for which `wanted(record)`, null if there is none; `found` is what it says.
  template <typename Wanted>
  Entry* find(const Endpoint& key, Wanted wanted, Record& found) const noexcept {
    Entry* bucket = bucket_of(key);
    for (uint32_t i = 0; i < kPlaces; i++) {
      const std::optional<Record> record = read(bucket[i]);
      if (!record || record->key != key || !wanted(*record)) continue;
      found = *record;
      return &bucket[i];
    }
    return nullptr;
  }
  template <typename Wanted>
  std::optional<Record> find(const Endpoint& key, Wanted wanted) const noexcept {
    Record found;
    return find(key, wanted, found) != nullptr ? std::optional(found) : std::nullopt;
  }
  template <typename IsMeant>
  bool erase_if(const Endpoint& client, const Endpoint& vip, IsMeant is_meant) noexcept {
    Record flow;
    Entry* entry =
        find(client, [&](const Record& record) { return is_of_flow(record.kind) && record.of == vip; }, flow);
    if (entry == nullptr || !is_meant(peer_of(flow.kind))) return false;
    forget(*entry, flow);
    return true;
  }
  void forget(Entry& entry, const Record& flow) noexcept;
  template <typename Wanted>
  void erase_where(const Endpoint& key, Wanted wanted) noexcept;
  std::optional<ToldFlow> whole(const Record& of_flow) const noexcept;

  Entry* entries_;
  size_t capacity_;
  uint64_t mask_;  // of buckets
  uint64_t seed_;
  size_t size_ = 0;
};

}  // namespace sluice
