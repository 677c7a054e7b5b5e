// SPDX-License-Identifier: Apache-2.0
//
// The flow table of one worker: an index of 64-byte buckets with two choices per flow (cuckoo hashing with
// partial keys: Pagh and Rodler 2001; Fan et al., MemC3, NSDI'13), and the flows themselves beside it.
//
// A flow is indexed by its client endpoint alone, so one entry serves both directions; several flows of
// one client endpoint (to different services) share a tag and are told apart by a predicate. A fullnat flow, whose
// backend does not know the client's endpoint, has a second place under our endpoint towards the backend.
//
// Invariants:
//   1. Every flow whose state is not kFree has exactly one place under its client endpoint, in its primary or its
//      secondary bucket, and likewise one under its local endpoint if it is a fullnat flow.
//   2. bucket.overflowed counts the flows with that primary bucket that live in their secondary one, so a
//      look-up visits the second bucket only when it can help.
//   3. A flow freed in a burst is not reused before end_burst(): indices held by the burst stay harmless.
//
// Thread safety: none; one worker owns it. Nothing allocates.
#pragma once

#include <emmintrin.h>

#include <cstdint>

#include "dataplane/flow/flow_memory.h"
#include "dataplane/flow/keyed_hash.h"
#include "dataplane/flow/owner_table.h"
#include "dataplane/packet/renumber.h"

namespace sluice {

/// Where a hash leads: first bucket and tag. The other bucket follows from both.
struct FlowPlace {
  uint32_t bucket;
  uint32_t tag;  // 1 to 65535
};

class FlowTable {
 public:
  /// Lays a table of `flow_capacity` flows over flow memory, to be hashed with `hash_seed`. Memory with a valid header
  /// of the same geometry, dealt in the same way, is adopted, entry by entry (see adoption.h): `adopted()` flows of it
  /// could be used. Otherwise it is formatted. What its ports are has been settled before (take_up()).
  FlowTable(std::byte* memory, uint32_t flow_capacity, uint64_t hash_seed, uint64_t boot_id,
            Dealing dealing = {}) noexcept;

  /// The secret that tables of all workers share.
  uint64_t hash_seed() const noexcept { return seed_; }

  uint64_t hash(const Endpoint& client) const noexcept { return keyed_hash(client, seed_); }

  /// Of our endpoint towards a backend, by the address' index.
  uint64_t hash_local(uint8_t local_index, Be16 port) const noexcept {
    return fold_multiply((uint64_t{local_index} << 16 | port.raw) ^ seed_ ^ kMixA, seed_ ^ kMixC);
  }

  FlowPlace place(uint64_t hash) const noexcept {
    const auto tag = static_cast<uint32_t>(hash >> 48);
    return {scale(static_cast<uint32_t>(hash)), tag == 0 ? 1 : tag};
  }

  void prefetch_bucket(FlowPlace place) const noexcept { __builtin_prefetch(&buckets_[place.bucket]); }
  void prefetch_flow(FlowIndex index) const noexcept { __builtin_prefetch(&flows_[index], 1); }

  /// The first flow in the primary bucket whose tag fits, or kNoFlow. It may be another client's: check it.
  FlowIndex first_candidate(FlowPlace place) const noexcept {
    const FlowBucket& bucket = buckets_[place.bucket];
    const uint32_t mask = match(bucket, place.tag);
    return mask == 0 ? kNoFlow : bucket.slot[__builtin_ctz(mask)] & ~FlowBucket::kSecondary;
  }

  /// Whether a look at the secondary bucket may help where the primary one has no candidate.
  bool has_second_bucket(FlowPlace place) const noexcept { return buckets_[place.bucket].overflowed != 0; }
  void prefetch_second_bucket(FlowPlace place) const noexcept {
    __builtin_prefetch(&buckets_[other_bucket(place.bucket, place.tag)]);
  }
  /// As first_candidate(), in the secondary bucket.
  FlowIndex second_candidate(FlowPlace place) const noexcept {
    return first_candidate({other_bucket(place.bucket, place.tag), place.tag});
  }

  /// The first flow for which `wanted(flow)` among all those that the place can lead to, or kNoFlow.
  template <typename Wanted>
  FlowIndex find(FlowPlace place, Wanted wanted) const noexcept {
    const FlowIndex found = find_in(buckets_[place.bucket], place.tag, wanted);
    if (found != kNoFlow || buckets_[place.bucket].overflowed == 0) return found;
    return find_in(buckets_[other_bucket(place.bucket, place.tag)], place.tag, wanted);
  }

  Flow& operator[](FlowIndex index) noexcept { return flows_[index]; }
  const Flow& operator[](FlowIndex index) const noexcept { return flows_[index]; }

  /// Takes a free flow and indexes it under `place`. The caller fills it, state last. kNoFlow if no flow or no
  /// place is free. Cost: at most 22 buckets visited.
  FlowIndex insert(FlowPlace place) noexcept;

  /// Gives a flow that is whole its second place, under its local endpoint. Returns whether there was room.
  bool index_local(FlowIndex index) noexcept { return index_flow(local_place(flows_[index]), index); }

  /// Frees a flow whose client and local fields are still those it was inserted under.
  void erase(FlowIndex index) noexcept;

  /// Makes what was erased in this burst available.
  void end_burst() noexcept;

  uint32_t capacity() const noexcept { return capacity_; }
  uint32_t bucket_count() const noexcept { return bucket_count_; }
  uint32_t size() const noexcept { return size_; }
  /// Flows at and beyond this index have never been taken.
  uint32_t used() const noexcept { return never_used_; }
  /// Flows that insert() can take before end_burst() is called.
  uint32_t available() const noexcept { return capacity_ - size_ - erased_count_; }
  uint32_t adopted() const noexcept { return adopted_; }
  /// The index of a flow of this table.
  FlowIndex index_of(const Flow& flow) const noexcept { return static_cast<FlowIndex>(&flow - flows_); }
  Service* services() const noexcept { return services_; }
  Backend* backends() const noexcept { return backends_; }
  Local* locals() const noexcept { return locals_; }
  /// Of a flow that is spliced.
  Splice& splice(FlowIndex index) noexcept { return splices_[index]; }
  const Splice& splice(FlowIndex index) const noexcept { return splices_[index]; }
  /// By how much the client of a flow of this table counts the backend's stream further than the backend.
  [[gnu::always_inline]] uint32_t server_shift(const Flow& flow) const noexcept {
    return flow.spliced ? splices_[index_of(flow)].sequence : 0;
  }
  /// What is added to the numbers of a flow's segments that are no SYN, for its PROXY header and as its client's SYN
  /// was answered by us; to those for the client only once the header is acknowledged (worker/proxy_injector.h).
  [[gnu::always_inline]] Renumbering numbers_for_backend(FlowIndex index) const noexcept {
    Renumbering by = flows_[index].spliced ? splices_[index].to_backend() : Renumbering{};
    by.sequence += flows_[index].proxy_bytes;
    return by;
  }
  [[gnu::always_inline]] Renumbering numbers_for_client(FlowIndex index) const noexcept {
    Renumbering by = flows_[index].spliced ? splices_[index].to_client() : Renumbering{};
    by.acknowledgement -= flows_[index].proxy_bytes;
    return by;
  }
  /// What is known of each flow's session, by its index. Written anew when a flow begins.
  channel::SessionNotes* notes() const noexcept { return notes_; }

 private:
  static uint32_t match(const FlowBucket& bucket, uint32_t tag) noexcept {
    const __m128i wanted = _mm_set1_epi16(static_cast<int16_t>(tag));
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&bucket.tag[0]));
    const __m128i high = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&bucket.tag[8]));
    const __m128i equal = _mm_packs_epi16(_mm_cmpeq_epi16(low, wanted), _mm_cmpeq_epi16(high, wanted));
    return static_cast<uint32_t>(_mm_movemask_epi8(equal)) & ((1U << FlowBucket::kPlaces) - 1);
  }

  template <typename Wanted>
  FlowIndex find_in(const FlowBucket& bucket, uint32_t tag, Wanted wanted) const noexcept {
    for (uint32_t mask = match(bucket, tag); mask != 0; mask &= mask - 1) {
      const FlowIndex index = bucket.slot[__builtin_ctz(mask)] & ~FlowBucket::kSecondary;
      if (wanted(flows_[index])) return index;
    }
    return kNoFlow;
  }

  uint32_t other_bucket(uint32_t bucket, uint32_t tag) const noexcept {
    // The two buckets of a tag add up to a number that it names, modulo their count: a rule that works both ways. The
    // number is odd and the count even, so no bucket is its own other.
    const uint32_t sum = scale(tag * 0x5bd1e995U) | 1;
    return sum - bucket + (sum < bucket ? bucket_count_ : 0);
  }

  /// 32 random bits as a number below the count of buckets (multiply-shift).
  uint32_t scale(uint32_t random) const noexcept {
    return static_cast<uint32_t>((uint64_t{random} * bucket_count_) >> 32);
  }

  static uint32_t free_place(const FlowBucket& bucket) noexcept {
    const uint32_t mask = match(bucket, 0);
    return mask == 0 ? FlowBucket::kPlaces : static_cast<uint32_t>(__builtin_ctz(mask));
  }

  FlowPlace local_place(const Flow& flow) const noexcept {
    return place(hash_local(flow.local_index(), flow.local_port));
  }

  void format(uint64_t hash_seed, uint64_t boot_id, Dealing dealing) noexcept;
  void adopt(uint64_t hash_seed) noexcept;
  bool adopt_flow(FlowIndex index) noexcept;
  bool index_flow(FlowPlace place, FlowIndex index) noexcept;
  bool make_room(uint32_t bucket_index) noexcept;
  void unindex(FlowPlace place, FlowIndex index) noexcept;
  FlowIndex take_free() noexcept;

  // A free flow's link to the next lies in this field of it.
  static uint32_t& next_free(Flow& flow) noexcept { return flow.deadline_ms; }

  FlowMemoryHeader* header_;
  Service* services_;
  Backend* backends_;
  Local* locals_;
  FlowBucket* buckets_;
  Flow* flows_;
  channel::SessionNotes* notes_;
  Splice* splices_;
  uint64_t seed_ = 0;
  uint32_t bucket_count_;
  uint32_t capacity_;
  uint32_t size_ = 0;
  uint32_t adopted_ = 0;
  uint32_t never_used_ = 0;     // flows from here on have never been taken
  FlowIndex free_ = kNoFlow;    // list through next_free
  FlowIndex erased_ = kNoFlow;  // erased in this burst
  FlowIndex erased_last_ = kNoFlow;
  uint32_t erased_count_ = 0;
};

}  // namespace sluice
