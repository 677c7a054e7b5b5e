// SPDX-License-Identifier: Apache-2.0
//
// What peers have told of their flows: buckets of eight entries of a cache line each. The exchange's thread alone
// writes; workers read without a lock.
//
// A flow has an entry in its client's bucket, with client, VIP and backend. Where the halves of the connection have
// numbers of their own, a second one there says how they differ. With fullnat the entry names our endpoint towards the
// backend in place of the backend, and another one, in the bucket of that endpoint, names endpoint, client and backend:
// so it is found from both sides. Either all entries of a flow are there, or none; and of the flows at one endpoint of
// ours each has another backend and another client.
//
// An entry is eight words, each read and written whole. The first holds its version and when it was last told. Version
// 0: it has never been used; odd: it is being written; even: the words are of one flow, or of none (kGone). The law: a
// reader takes what it has read only if the version was even before and is the same after; a writer makes it odd before
// it touches the other words, and even, and larger, after. Who told of a flow, of which no reader learns, changes
// alone. The same law holds for a flow as a whole, with the version of the entry that names its VIP: that one is made
// odd, or none's, before another entry of the flow is touched, and is written last. What is displaced is only
// knowledge: a packet that finds no entry is dealt with as if no peer had told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/flow/keyed_hash.h"
#include "dataplane/peers/told_flow.h"

namespace sluice {

class ToldTable {
 public:
  static constexpr uint32_t kPlaces = 8;       // of a bucket
  static constexpr uint32_t kMostEntries = 3;  // of a flow
  static constexpr uint32_t kNoWorker = 255;

  /// How much there is room for: flows of peers, and how many entries each may take, at most kMostEntries.
  struct Room {
    uint64_t flows;
    uint32_t entries_each = 1;

    /// So many are taken by a flow of these kinds.
    static constexpr uint32_t entries_of(bool fullnat, bool spliced) { return 1U + fullnat + spliced; }
  };

  /// What became of put().
  enum class Put : uint8_t { kNew, kRefreshed, kKept, kDisplaced, kNoRoom };

  /// Entries for that, a power of two.
  static size_t capacity_for(Room room) noexcept;
  static size_t bytes_for(Room room) noexcept { return capacity_for(room) * sizeof(Entry); }

  /// `memory`: bytes_for(room) zeroes. `seed`: secret, so that clients cannot aim at one bucket.
  ToldTable(std::byte* memory, Room room, uint64_t seed) noexcept;

  // Any thread.
  /// The flow of `client` to `vip` as a peer has told it, if one has.
  std::optional<ToldFlow> from_client(const Endpoint& client, const Endpoint& vip) const noexcept;
  /// The nat flow of `client` that `backend` is in.
  std::optional<ToldFlow> from_backend(const Endpoint& client, const Endpoint& backend) const noexcept;
  /// The fullnat flow by which `backend` is spoken with from `local`.
  std::optional<ToldFlow> from_local(const Endpoint& local, const Endpoint& backend) const noexcept;

  /// The worker of this node that has the fullnat flow by which `backend` is spoken with from `local`, if the table has
  /// been told; else kNoWorker.
  uint32_t worker_of(const Endpoint& local, const Endpoint& backend) const noexcept;

  /// Whether peers may have flows of which they have not told yet.
  bool expects_more(uint64_t now_ms) const noexcept {
    return now_ms < __atomic_load_n(&expects_more_until_ms_, __ATOMIC_RELAXED);
  }

  // The writer alone.
  /// That is so until then, in ms of CLOCK_MONOTONIC.
  void expect_more_until(uint64_t ms) noexcept { __atomic_store_n(&expects_more_until_ms_, ms, __ATOMIC_RELAXED); }
  /// A flow, not ended, that `peer` (below 16) has told at `now_s`. It replaces what was told of it before; but one
  /// that another peer has open is kept (kKept) where this is only placed: a SYN ends nothing. Nor does it end another
  /// client's flow that has its endpoint at the same backend. In a full bucket a flow gives way, with all its entries,
  /// that is only placed, else the one that was told longest ago; but none that is open gives way to one that is
  /// placed. kNoRoom: there was none for all entries, and nothing is known of the flow.
  /// `worker`: of this node, that has it: the flow is our own, and what a peer tells of it at the same endpoint with
  /// the same backend changes nothing (kKept). kNoWorker: a peer's.
  Put put(const ToldFlow& flow, uint32_t peer, uint32_t now_s, uint32_t worker = kNoWorker) noexcept;
  /// It has ended, as we know ourselves, but not if a node waits for a backend's answer, which is to the client's next;
  /// or as one of two peers says: what others have told since stays, and what is our own. Returns whether it was known.
  bool erase(const Endpoint& client, const Endpoint& vip) noexcept {
    return erase_if(client, vip, [](const Record& of_flow) {
      const bool asked = !is_open(of_flow.kind) && (of_flow.proxy & kSpliced) != 0;
      return !asked;
    });
  }
  bool erase(const Endpoint& client, const Endpoint& vip, uint32_t teller, uint32_t or_teller) noexcept {
    return erase_if(client, vip, [&](const Record& of_flow) {
      const uint32_t peer = peer_of(of_flow.kind);
      return (peer == teller || peer == or_teller) && !is_own(of_flow);
    });
  }
  /// Visits `count` entries from `position` on and erases those for which `is_over(peer, age in s)`. Returns how many
  /// flows.
  template <typename IsOver>
  uint32_t sweep(size_t position, size_t count, uint32_t now_s, IsOver is_over) noexcept {
    const size_t before = size_;
    for (size_t i = position; i < position + count && i < capacity_; i++) {
      Entry& entry = entries_[i];
      if (!entry.is_free() && is_over(peer_of(entry.kind()), now_s - entry.told_s())) forget_flow_of(entry);
    }
    return static_cast<uint32_t>(before - size_);
  }

  /// Calls `meet(flow, peer)` for each flow among `count` entries from `position` on.
  template <typename Meet>
  void visit(size_t position, size_t count, Meet meet) const noexcept {
    for (size_t i = position; i < position + count && i < capacity_; i++) {
      const Seen seen = read(entries_[i]);
      const auto flow = seen && is_of_flow(seen.record.kind) ? whole(seen) : std::nullopt;
      if (flow) meet(*flow, peer_of(seen.record.kind));
    }
  }

  size_t capacity() const noexcept { return capacity_; }                    // entries
  size_t most_flows() const noexcept { return capacity_ / entries_each_; }  // if each takes as many as it may
  size_t size() const noexcept { return size_; }                            // flows

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
    /// Told again as it is, by `peer`: who reads it is not disturbed. Who told it is a part of one word, and of nothing
    /// that a reader is told of a flow.
    void touch(uint32_t peer, uint32_t now_s) noexcept {
      constexpr uint32_t kTellerAt = kKindAt % 8 * 8 + 4;
      uint64_t& word = names.words[kKindAt / 8];
      const uint64_t others = __atomic_load_n(&word, __ATOMIC_RELAXED) & ~(uint64_t{0x0f} << kTellerAt);
      __atomic_store_n(&word, others | uint64_t{peer} << kTellerAt, __ATOMIC_RELAXED);
      __atomic_store_n(&head, uint64_t{now_s} << 32 | version(), __ATOMIC_RELAXED);
    }
  };
  static_assert(sizeof(Entry) == 64);

  /// An entry as it is read and written: by which it is found, what it is of, and what it says.
  struct Record {
    Endpoint key;      // the client; kOfLocal: our endpoint
    Endpoint of;       // the VIP; kOfLocal: the client
    Endpoint towards;  // the backend; of a fullnat flow our endpoint; kOfSplice: the bytes of a ToldSplice
    uint8_t kind = kGone;
    uint8_t proxy = 0;  // kOfLocal: the worker

    /// Whether both say the same, whoever told them.
    bool says_as(Record other) const noexcept {
      other.kind = static_cast<uint8_t>((other.kind & 0x0f) | (kind & 0xf0));
      return *this == other;
    }
    friend bool operator==(const Record&, const Record&) = default;
  };
  /// All that is kept of a flow; first the entry that names its VIP.
  struct Records {
    std::array<Record, kMostEntries> of;
    uint32_t count = 0;
  };
  /// An entry as it was read, and of which version it was then. None, or one that is of no flow: `entry` is null.
  struct Seen {
    Entry* entry = nullptr;
    uint32_t version = 0;
    Record record;

    explicit operator bool() const noexcept { return entry != nullptr; }
  };

  // Kind: peer in the upper four bits, a bit for kOpen, class in the lower three.
  static uint8_t kind_of(const ToldFlow& flow, uint32_t peer, uint8_t its_class) noexcept {
    const uint8_t stage = flow.stage == FlowStage::kPlaced ? 0 : 0x08;
    return static_cast<uint8_t>(peer << 4 | stage | its_class);
  }
  static uint8_t class_of(uint8_t kind) noexcept { return kind & 0x07; }
  static bool is_of_flow(uint8_t kind) noexcept { return class_of(kind) < kOfLocal; }
  static bool is_open(uint8_t kind) noexcept { return (kind & 0x08) != 0; }
  static uint32_t peer_of(uint8_t kind) noexcept { return kind >> 4; }

  static Names pack(const Record& record) noexcept;
  static Seen read(Entry& entry) noexcept;
  static void begin(Entry& entry) noexcept;
  static void write(Entry& entry, const Record& record, uint32_t now_s) noexcept;
  static void clear(Entry& entry) noexcept { write(entry, {}, 0); }
  static Records records_of(const ToldFlow& flow, uint32_t peer, uint32_t worker) noexcept;
  static bool outranks(const Record& known, const Record& told) noexcept;
  static bool gives_way_before(const Entry& a, const Entry& b) noexcept;

  Entry* bucket_of(const Endpoint& key) const noexcept { return &entries_[(keyed_hash(key, seed_) & mask_) * kPlaces]; }
  /// The entry of `key` for which `wanted(record)`.
  template <typename Wanted>
  Seen find(const Endpoint& key, Wanted wanted) const noexcept {
    Entry* bucket = bucket_of(key);
    for (uint32_t i = 0; i < kPlaces; i++) {
      const Seen seen = read(bucket[i]);
      if (seen && seen.record.key == key && wanted(seen.record)) return seen;
    }
    return {};
  }
  Seen find_flow(const Endpoint& client, const Endpoint& vip) const noexcept {
    return find(client, [&](const Record& record) { return is_of_flow(record.kind) && record.of == vip; });
  }
  Seen find_fullnat(const Endpoint& client, const Endpoint& local) const noexcept;
  Seen find_local(const Record& fullnat) const noexcept;
  Seen find_splice(const Record& of_flow) const noexcept;
  std::optional<ToldFlow> whole(const Seen& of_flow) const noexcept;
  /// Whether a worker of this node has the flow.
  bool is_own(const Record& of_flow) const noexcept;

  bool refresh(const Seen& known, const Records& records, uint32_t now_s) noexcept;
  bool free_endpoint(const Records& records) noexcept;
  Entry* room_for(const Record& record, std::span<Entry* const> taken) const noexcept;
  template <typename IsMeant>
  bool erase_if(const Endpoint& client, const Endpoint& vip, IsMeant is_meant) noexcept {
    const Seen flow = find_flow(client, vip);
    if (!flow || !is_meant(flow.record)) return false;
    forget(flow);
    return true;
  }
  void forget(const Seen& of_flow) noexcept;
  void forget_others(const Record& of_flow) noexcept;
  void forget_flow_of(Entry& entry) noexcept;

  Entry* entries_;
  size_t capacity_;
  uint32_t entries_each_;  // of a flow
  uint64_t mask_;          // of buckets
  uint64_t seed_;
  size_t size_ = 0;
  uint64_t expects_more_until_ms_ = 0;
};

}  // namespace sluice
