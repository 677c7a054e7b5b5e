// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/told_table.h"

#include <bit>
#include <cstring>

namespace sluice {

static_assert(static_cast<uint8_t>(channel::Forwarding::kGue) < 7);

size_t ToldTable::capacity_for(uint64_t flows) noexcept {
  return std::bit_ceil(flows < kPlaces ? uint64_t{kPlaces} : flows);
}

ToldTable::ToldTable(std::byte* memory, uint64_t flows, uint64_t seed) noexcept
    : entries_(reinterpret_cast<Entry*>(memory)),
      capacity_(capacity_for(flows)),
      mask_(capacity_ / kPlaces - 1),
      seed_(seed) {}

ToldTable::Names ToldTable::pack(const ToldFlow& flow, uint8_t kind) noexcept {
  uint8_t bytes[sizeof(Names)];
  std::memcpy(bytes, &flow.client, sizeof(Endpoint));
  std::memcpy(bytes + sizeof(Endpoint), &flow.vip, sizeof(Endpoint));
  std::memcpy(bytes + 2 * sizeof(Endpoint), &flow.backend, sizeof(Endpoint));
  bytes[kKindAt] = kind;
  bytes[kProxyAt] = flow.proxy_bytes;
  Names out;
  std::memcpy(&out, bytes, sizeof out);
  return out;
}

ToldFlow ToldTable::unpack(const Names& names) noexcept {
  uint8_t bytes[sizeof(Names)];
  std::memcpy(bytes, &names, sizeof bytes);
  ToldFlow out;
  std::memcpy(&out.client, bytes, sizeof(Endpoint));
  std::memcpy(&out.vip, bytes + sizeof(Endpoint), sizeof(Endpoint));
  std::memcpy(&out.backend, bytes + 2 * sizeof(Endpoint), sizeof(Endpoint));
  out.stage = stage_of(bytes[kKindAt]);
  out.forwarding = static_cast<channel::Forwarding>(bytes[kKindAt] & 0x07);
  out.proxy_bytes = bytes[kProxyAt];
  return out;
}

std::optional<ToldFlow> ToldTable::read(const Entry& entry) noexcept {
  // Pairs with the writer's release store in write(): the names are at least those of this version.
  const uint64_t before = __atomic_load_n(&entry.head, __ATOMIC_ACQUIRE);
  if (static_cast<uint32_t>(before) == 0 || (before & 1) != 0) return std::nullopt;
  Names names;
  for (size_t i = 0; i < kWords; i++) names.words[i] = __atomic_load_n(&entry.names.words[i], __ATOMIC_RELAXED);
  // Pairs with the writer's release fence: had a word been of a later version, so would be what is read now.
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (entry.version() != static_cast<uint32_t>(before)) return std::nullopt;
  ToldFlow out = unpack(names);
  return out.stage == FlowStage::kEnded ? std::nullopt : std::optional(out);
}

void ToldTable::write(Entry& entry, const Names& names, uint32_t now_s) noexcept {
  const uint32_t version = entry.version();
  const uint64_t second = uint64_t{now_s} << 32;
  __atomic_store_n(&entry.head, second | (version + 1), __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  for (size_t i = 0; i < kWords; i++) __atomic_store_n(&entry.names.words[i], names.words[i], __ATOMIC_RELAXED);
  const uint32_t next = version + 2;
  __atomic_store_n(&entry.head, second | (next == 0 ? 2 : next), __ATOMIC_RELEASE);
}

void ToldTable::clear(Entry& entry) noexcept {
  write(entry, pack({}, kGone), 0);
  size_--;
}

template <typename Wanted>
std::optional<ToldFlow> ToldTable::find(const Endpoint& client, Wanted wanted) const noexcept {
  const Entry* bucket = bucket_of(client);
  for (uint32_t i = 0; i < kPlaces; i++) {
    const std::optional<ToldFlow> flow = read(bucket[i]);
    if (flow && flow->client == client && wanted(*flow)) return flow;
  }
  return std::nullopt;
}

std::optional<ToldFlow> ToldTable::from_client(const Endpoint& client, const Endpoint& vip) const noexcept {
  return find(client, [&](const ToldFlow& flow) { return flow.vip == vip; });
}

std::optional<ToldFlow> ToldTable::from_backend(const Endpoint& client, const Endpoint& backend) const noexcept {
  return find(client, [&](const ToldFlow& flow) {
    return flow.forwarding == channel::Forwarding::kNat && flow.backend == backend;
  });
}

bool ToldTable::gives_way_before(const Entry& a, const Entry& b) noexcept {
  const bool a_open = stage_of(a.kind()) == FlowStage::kOpen, b_open = stage_of(b.kind()) == FlowStage::kOpen;
  return a_open != b_open ? b_open : static_cast<int32_t>(a.told_s() - b.told_s()) < 0;
}

ToldTable::Put ToldTable::put(const ToldFlow& flow, uint32_t peer, uint32_t now_s) noexcept {
  Entry* bucket = bucket_of(flow.client);
  Entry* room = nullptr;
  Entry* oldest = bucket;
  const Names names = pack(flow, kind_of(flow, peer));
  for (uint32_t i = 0; i < kPlaces; i++) {
    Entry& entry = bucket[i];
    if (entry.version() == 0 || stage_of(entry.kind()) == FlowStage::kEnded) {
      if (room == nullptr) room = &entry;
      continue;
    }
    const std::optional<ToldFlow> known = read(entry);
    if (known && known->client == flow.client && known->vip == flow.vip) {
      write(entry, names, now_s);
      return Put::kRefreshed;
    }
    if (gives_way_before(entry, *oldest)) oldest = &entry;
  }
  const bool in_vain = flow.stage == FlowStage::kPlaced && stage_of(oldest->kind()) == FlowStage::kOpen;
  if (room == nullptr && in_vain) return Put::kNoRoom;
  write(room != nullptr ? *room : *oldest, names, now_s);
  if (room == nullptr) return Put::kDisplaced;
  size_++;
  return Put::kNew;
}

bool ToldTable::erase(const Endpoint& client, const Endpoint& vip) noexcept {
  Entry* bucket = bucket_of(client);
  for (uint32_t i = 0; i < kPlaces; i++) {
    const std::optional<ToldFlow> known = read(bucket[i]);
    if (!known || known->client != client || known->vip != vip) continue;
    clear(bucket[i]);
    return true;
  }
  return false;
}

}  // namespace sluice
