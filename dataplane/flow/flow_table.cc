// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/flow_table.h"

#include <algorithm>
#include <cstring>

#include "dataplane/flow/adoption.h"

namespace sluice {

FlowTable::FlowTable(std::byte* memory, uint32_t flow_capacity, uint64_t hash_seed, uint64_t boot_id,
                     Dealing dealing) noexcept
    : header_(reinterpret_cast<FlowMemoryHeader*>(memory)),
      services_(reinterpret_cast<Service*>(memory + kServicesOffset)),
      backends_(reinterpret_cast<Backend*>(memory + kBackendsOffset)),
      locals_(reinterpret_cast<Local*>(memory + kLocalsOffset)),
      buckets_(reinterpret_cast<FlowBucket*>(memory + kBucketsOffset)),
      flows_(reinterpret_cast<Flow*>(memory + flows_offset(flow_capacity))),
      notes_(reinterpret_cast<channel::SessionNotes*>(memory + notes_offset(flow_capacity))),
      splices_(reinterpret_cast<Splice*>(memory + splices_offset(flow_capacity))),
      bucket_count_(sluice::bucket_count(flow_capacity)),
      capacity_(flow_capacity) {
  if (flaw_of(*header_, flow_capacity, dealing, boot_id) == KeptFlaw::kNone) {
    adopt(hash_seed);
  } else {
    format(hash_seed, boot_id, dealing);
  }
}

void FlowTable::format(uint64_t hash_seed, uint64_t boot_id, Dealing dealing) noexcept {
  const bool fresh = header_->magic == 0;  // never formatted: the mapping is all zero
  header_->magic = 0;
  if (!fresh) {
    std::fill_n(services_, channel::kMaxServices, Service{});
    std::fill_n(backends_, channel::kMaxBackends, Backend{});
    std::fill_n(locals_, channel::kMaxLocals, Local{});
    std::memset(buckets_, 0, size_t{bucket_count_} * sizeof(FlowBucket));
    for (uint32_t i = 0; i < capacity_; i++) flows_[i].state = TcpState::kFree;
  }
  header_->version = kFlowMemoryVersion;
  header_->flow_capacity = capacity_;
  header_->bucket_count = bucket_count_;
  header_->workers = dealing.workers;
  header_->classes = dealing.classes;
  header_->flows_used = 0;
  header_->short_runs = 0;
  header_->flows_offset = flows_offset(capacity_);
  header_->notes_offset = notes_offset(capacity_);
  header_->hash_seed = hash_seed;
  header_->boot_id = boot_id;
  seed_ = hash_seed;
  __atomic_store_n(&header_->magic, kFlowMemoryMagic, __ATOMIC_RELEASE);
}

void FlowTable::adopt(uint64_t hash_seed) noexcept {
  // The index may be torn, the flows are not (see flow.h): build it anew from them.
  seed_ = header_->hash_seed = hash_seed;
  std::memset(buckets_, 0, size_t{bucket_count_} * sizeof(FlowBucket));
  const PortMap map(header_->ports == 0 ? uint32_t{channel::kMaxPorts} : header_->ports);
  tidy(services_, backends_, locals_, map);
  for (uint32_t i = capacity_; i-- > 0;) {
    if (tidy(flows_[i], map) && adopt_flow(i)) {
      adopted_++;
      never_used_ = std::max(never_used_, i + 1);
      continue;
    }
    flows_[i].state = TcpState::kFree;
    if (i >= never_used_) continue;
    next_free(flows_[i]) = free_;
    free_ = i;
  }
  size_ = adopted_;
  __atomic_store_n(&header_->flows_used, never_used_, __ATOMIC_RELAXED);
}

bool FlowTable::adopt_flow(FlowIndex index) noexcept {
  const Flow& flow = flows_[index];
  const FlowPlace client = place(hash(flow.client_endpoint()));
  const FlowIndex twin = find(client, [&](const Flow& other) {
    return other.service == flow.service && other.client_endpoint() == flow.client_endpoint();
  });
  if (twin != kNoFlow || !index_flow(client, index)) return false;
  if (flow.forwarding() != channel::Forwarding::kFullnat || index_local(index)) return true;
  unindex(client, index);
  return false;
}

FlowIndex FlowTable::take_free() noexcept {
  if (free_ != kNoFlow) {
    const FlowIndex index = free_;
    free_ = next_free(flows_[index]);
    if (free_ != kNoFlow) prefetch_flow(free_);
    return index;
  }
  if (never_used_ == capacity_) return kNoFlow;
  const FlowIndex index = never_used_++;
  __atomic_store_n(&header_->flows_used, never_used_, __ATOMIC_RELAXED);  // for control's eyes
  return index;
}

bool FlowTable::make_room(uint32_t bucket_index) noexcept {
  FlowBucket& bucket = buckets_[bucket_index];
  for (uint32_t i = 0; i < FlowBucket::kPlaces; i++) {
    const uint32_t other_index = other_bucket(bucket_index, bucket.tag[i]);
    FlowBucket& other = buckets_[other_index];
    const uint32_t room = free_place(other);
    if (room == FlowBucket::kPlaces) continue;
    const bool was_secondary = (bucket.slot[i] & FlowBucket::kSecondary) != 0;
    other.slot[room] = bucket.slot[i] ^ FlowBucket::kSecondary;
    other.tag[room] = bucket.tag[i];
    bucket.tag[i] = 0;
    if (was_secondary) {
      other.overflowed--;
    } else {
      bucket.overflowed++;
    }
    return true;
  }
  return false;
}

bool FlowTable::index_flow(FlowPlace place, FlowIndex index) noexcept {
  FlowBucket& first = buckets_[place.bucket];
  const uint32_t second_index = other_bucket(place.bucket, place.tag);
  FlowBucket& second = buckets_[second_index];
  uint32_t room = free_place(first);
  if (room == FlowBucket::kPlaces && free_place(second) == FlowBucket::kPlaces && !make_room(place.bucket) &&
      !make_room(second_index)) {
    return false;
  }
  room = free_place(first);
  if (room != FlowBucket::kPlaces) {
    first.slot[room] = index;
    first.tag[room] = static_cast<uint16_t>(place.tag);
    return true;
  }
  room = free_place(second);
  second.slot[room] = index | FlowBucket::kSecondary;
  second.tag[room] = static_cast<uint16_t>(place.tag);
  first.overflowed++;
  return true;
}

FlowIndex FlowTable::insert(FlowPlace place) noexcept {
  const FlowIndex index = take_free();
  if (index == kNoFlow) return kNoFlow;
  if (!index_flow(place, index)) {
    next_free(flows_[index]) = free_;
    free_ = index;
    return kNoFlow;
  }
  size_++;
  return index;
}

void FlowTable::unindex(FlowPlace place, FlowIndex index) noexcept {
  FlowBucket& first = buckets_[place.bucket];
  for (uint32_t mask = match(first, place.tag); mask != 0; mask &= mask - 1) {
    const int i = __builtin_ctz(mask);
    if (first.slot[i] == index) {
      first.tag[i] = 0;
      return;
    }
  }
  FlowBucket& second = buckets_[other_bucket(place.bucket, place.tag)];
  for (uint32_t mask = match(second, place.tag); mask != 0; mask &= mask - 1) {
    const int i = __builtin_ctz(mask);
    if (second.slot[i] == (index | FlowBucket::kSecondary)) {
      second.tag[i] = 0;
      first.overflowed--;
      return;
    }
  }
}

void FlowTable::erase(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  unindex(place(hash(flow.client_endpoint())), index);
  if (flow.forwarding() == channel::Forwarding::kFullnat) [[unlikely]]
    unindex(local_place(flow), index);
  flow.state = TcpState::kFree;
  next_free(flow) = erased_;
  if (erased_ == kNoFlow) erased_last_ = index;
  erased_ = index;
  erased_count_++;
  size_--;
}

void FlowTable::end_burst() noexcept {
  if (erased_ == kNoFlow) return;
  next_free(flows_[erased_last_]) = free_;
  free_ = erased_;
  erased_ = kNoFlow;
  erased_count_ = 0;
}

}  // namespace sluice
