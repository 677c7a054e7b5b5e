// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/told_table.h"

#include <bit>
#include <cstring>

namespace sluice {

static_assert(static_cast<uint8_t>(channel::Forwarding::kGue) < 5 && sizeof(ToldSplice) <= sizeof(Endpoint));

namespace {

constexpr uint8_t kFullnat = static_cast<uint8_t>(channel::Forwarding::kFullnat);

/// A splice where an endpoint would stand, and back.
Endpoint hidden(const ToldSplice& splice) noexcept {
  Endpoint out;
  std::memcpy(out.address.bytes.data(), &splice.sequence, sizeof splice.sequence);
  out.address.bytes[4] = splice.client_scale;
  out.address.bytes[5] = splice.server_scale;
  out.address.bytes[6] = splice.timestamps ? 1 : 0;
  std::memcpy(&out.address.bytes[8], &splice.timestamp, sizeof splice.timestamp);
  return out;
}

ToldSplice shown(const Endpoint& endpoint) noexcept {
  ToldSplice out;
  std::memcpy(&out.sequence, endpoint.address.bytes.data(), sizeof out.sequence);
  std::memcpy(&out.timestamp, &endpoint.address.bytes[8], sizeof out.timestamp);
  out.client_scale = endpoint.address.bytes[4];
  out.server_scale = endpoint.address.bytes[5];
  out.timestamps = endpoint.address.bytes[6] != 0;
  return out;
}

}  // namespace

size_t ToldTable::capacity_for(uint64_t flows) noexcept {
  return std::bit_ceil(flows < kPlaces ? uint64_t{kPlaces} : flows);
}

ToldTable::ToldTable(std::byte* memory, uint64_t flows, uint64_t seed) noexcept
    : entries_(reinterpret_cast<Entry*>(memory)),
      capacity_(capacity_for(flows)),
      mask_(capacity_ / kPlaces - 1),
      seed_(seed) {}

ToldTable::Names ToldTable::pack(const Record& record) noexcept {
  uint8_t bytes[sizeof(Names)];
  std::memcpy(bytes, &record.key, sizeof(Endpoint));
  std::memcpy(bytes + sizeof(Endpoint), &record.of, sizeof(Endpoint));
  std::memcpy(bytes + 2 * sizeof(Endpoint), &record.towards, sizeof(Endpoint));
  bytes[kKindAt] = record.kind;
  bytes[kProxyAt] = record.proxy;
  Names out;
  std::memcpy(&out, bytes, sizeof out);
  return out;
}

std::optional<ToldTable::Record> ToldTable::read(const Entry& entry) noexcept {
  // Pairs with the writer's release store in write(): the names are at least those of this version.
  const uint64_t before = __atomic_load_n(&entry.head, __ATOMIC_ACQUIRE);
  if (static_cast<uint32_t>(before) == 0 || (before & 1) != 0) return std::nullopt;
  Names names;
  for (size_t i = 0; i < kWords; i++) names.words[i] = __atomic_load_n(&entry.names.words[i], __ATOMIC_RELAXED);
  // Pairs with the writer's release fence: had a word been of a later version, so would be what is read now.
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (entry.version() != static_cast<uint32_t>(before)) return std::nullopt;
  uint8_t bytes[sizeof(Names)];
  std::memcpy(bytes, &names, sizeof bytes);
  Record out;
  std::memcpy(&out.key, bytes, sizeof(Endpoint));
  std::memcpy(&out.of, bytes + sizeof(Endpoint), sizeof(Endpoint));
  std::memcpy(&out.towards, bytes + 2 * sizeof(Endpoint), sizeof(Endpoint));
  out.kind = bytes[kKindAt];
  out.proxy = bytes[kProxyAt];
  return class_of(out.kind) == kGone ? std::nullopt : std::optional(out);
}

void ToldTable::write(Entry& entry, const Record& record, uint32_t now_s) noexcept {
  const Names names = pack(record);
  const uint32_t version = entry.version();
  const uint64_t second = uint64_t{now_s} << 32;
  __atomic_store_n(&entry.head, second | (version + 1), __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  for (size_t i = 0; i < kWords; i++) __atomic_store_n(&entry.names.words[i], names.words[i], __ATOMIC_RELAXED);
  const uint32_t next = version + 2;
  __atomic_store_n(&entry.head, second | (next == 0 ? 2 : next), __ATOMIC_RELEASE);
}

void ToldTable::clear(Entry& entry) noexcept {
  if (is_of_flow(entry.kind())) size_--;
  write(entry, {}, 0);
}

/// The flow of which one entry has been read, if the others are there too.
std::optional<ToldFlow> ToldTable::whole(const Record& of_flow) const noexcept {
  ToldFlow out{.client = of_flow.key, .vip = of_flow.of, .backend = of_flow.towards, .local = {}, .splice = {}};
  out.forwarding = static_cast<channel::Forwarding>(class_of(of_flow.kind));
  out.stage = is_open(of_flow.kind) ? FlowStage::kOpen : FlowStage::kPlaced;
  out.proxy_bytes = of_flow.proxy & static_cast<uint8_t>(~kSpliced);
  if (out.forwarding == channel::Forwarding::kFullnat) {
    out.local = of_flow.towards;
    const auto local = find(
        out.local, [&](const Record& record) { return class_of(record.kind) == kOfLocal && record.of == out.client; });
    if (!local) return std::nullopt;
    out.backend = local->towards;
  }
  if ((of_flow.proxy & kSpliced) == 0) return out;
  const auto splice = find(
      out.client, [&](const Record& record) { return class_of(record.kind) == kOfSplice && record.of == out.vip; });
  if (!splice) return std::nullopt;
  out.splice = shown(splice->towards);
  return out;
}

std::optional<ToldFlow> ToldTable::from_client(const Endpoint& client, const Endpoint& vip) const noexcept {
  const auto flow = find(client, [&](const Record& record) { return is_of_flow(record.kind) && record.of == vip; });
  return flow ? whole(*flow) : std::nullopt;
}

std::optional<ToldFlow> ToldTable::from_backend(const Endpoint& client, const Endpoint& backend) const noexcept {
  constexpr auto kNat = static_cast<uint8_t>(channel::Forwarding::kNat);
  const auto flow =
      find(client, [&](const Record& record) { return class_of(record.kind) == kNat && record.towards == backend; });
  return flow ? whole(*flow) : std::nullopt;
}

std::optional<ToldFlow> ToldTable::from_local(const Endpoint& local, const Endpoint& backend) const noexcept {
  const auto there =
      find(local, [&](const Record& record) { return class_of(record.kind) == kOfLocal && record.towards == backend; });
  if (!there) return std::nullopt;
  const auto flow = find(
      there->of, [&](const Record& record) { return class_of(record.kind) == kFullnat && record.towards == local; });
  const auto out = flow ? whole(*flow) : std::nullopt;
  return out && out->backend == backend ? out : std::nullopt;
}

bool ToldTable::gives_way_before(const Entry& a, const Entry& b) noexcept {
  const bool a_open = is_open(a.kind()), b_open = is_open(b.kind());
  return a_open != b_open ? b_open : static_cast<int32_t>(a.told_s() - b.told_s()) < 0;
}

ToldTable::Put ToldTable::put(const Record& record, uint32_t now_s) noexcept {
  Entry* bucket = bucket_of(record.key);
  Entry* room = nullptr;
  Entry* oldest = bucket;
  for (uint32_t i = 0; i < kPlaces; i++) {
    Entry& entry = bucket[i];
    if (entry.is_free()) {
      if (room == nullptr) room = &entry;
      continue;
    }
    const std::optional<Record> known = read(entry);
    if (known && record.is_in_place_of(*known)) {
      // Somebody's SYN at another node ends nothing: who has the flow would have told its end.
      if (is_open(known->kind) && !is_open(record.kind) && peer_of(known->kind) != peer_of(record.kind))
        return Put::kKept;
      write(entry, record, now_s);
      return Put::kRefreshed;
    }
    if (gives_way_before(entry, *oldest)) oldest = &entry;
  }
  const bool in_vain = !is_open(record.kind) && is_open(oldest->kind());
  if (room == nullptr && in_vain) return Put::kNoRoom;
  if (room == nullptr && is_of_flow(oldest->kind())) size_--;
  if (is_of_flow(record.kind)) size_++;
  write(room != nullptr ? *room : *oldest, record, now_s);
  return room == nullptr ? Put::kDisplaced : Put::kNew;
}

ToldTable::Put ToldTable::put(const ToldFlow& flow, uint32_t peer, uint32_t now_s) noexcept {
  const bool is_fullnat = flow.forwarding == channel::Forwarding::kFullnat;
  const uint8_t spliced = flow.splice ? kSpliced : 0;
  const auto with_proxy = static_cast<uint8_t>((flow.proxy_bytes & ~kSpliced) | spliced);
  const Put put_flow = put({flow.client, flow.vip, is_fullnat ? flow.local : flow.backend,
                            kind_of(flow, peer, static_cast<uint8_t>(flow.forwarding)), with_proxy},
                           now_s);
  if (put_flow == Put::kNoRoom || put_flow == Put::kKept) return put_flow;
  if (is_fullnat) {
    erase_where(flow.local, [&](const Record& record) {  // of a flow whose end nobody has told
      return class_of(record.kind) == kOfLocal && record.of == flow.client && record.towards != flow.backend;
    });
    put({flow.local, flow.client, flow.backend, kind_of(flow, peer, kOfLocal)}, now_s);
  }
  if (flow.splice) put({flow.client, flow.vip, hidden(*flow.splice), kind_of(flow, peer, kOfSplice)}, now_s);
  return put_flow;
}

template <typename Wanted>
void ToldTable::erase_where(const Endpoint& key, Wanted wanted) noexcept {
  Record found;
  if (Entry* entry = find(key, wanted, found)) clear(*entry);
}

void ToldTable::forget(Entry& entry, const Record& flow) noexcept {
  clear(entry);
  if (class_of(flow.kind) == kFullnat) {
    erase_where(flow.towards,
                [&](const Record& record) { return class_of(record.kind) == kOfLocal && record.of == flow.key; });
  }
  if ((flow.proxy & kSpliced) != 0) {
    erase_where(flow.key,
                [&](const Record& record) { return class_of(record.kind) == kOfSplice && record.of == flow.of; });
  }
}

}  // namespace sluice
