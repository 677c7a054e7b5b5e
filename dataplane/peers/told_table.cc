// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/told_table.h"

#include <algorithm>
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

size_t ToldTable::capacity_for(Room room) noexcept {
  const uint64_t entries = room.flows * room.entries_each;
  return std::bit_ceil(std::max(entries, uint64_t{kPlaces}));
}

ToldTable::ToldTable(std::byte* memory, Room room, uint64_t seed) noexcept
    : entries_(reinterpret_cast<Entry*>(memory)),
      capacity_(capacity_for(room)),
      entries_each_(room.entries_each),
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

ToldTable::Seen ToldTable::read(Entry& entry) noexcept {
  // Pairs with the writer's release store in write(): the names are at least those of this version.
  const auto before = static_cast<uint32_t>(__atomic_load_n(&entry.head, __ATOMIC_ACQUIRE));
  if (before == 0 || (before & 1) != 0) return {};
  Names names;
  for (size_t i = 0; i < kWords; i++) names.words[i] = __atomic_load_n(&entry.names.words[i], __ATOMIC_RELAXED);
  // Pairs with the writer's release fence: had a word been of a later version, so would be what is read now.
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (entry.version() != before) return {};
  uint8_t bytes[sizeof(Names)];
  std::memcpy(bytes, &names, sizeof bytes);
  Seen out{.entry = nullptr, .version = before, .record = {}};
  std::memcpy(&out.record.key, bytes, sizeof(Endpoint));
  std::memcpy(&out.record.of, bytes + sizeof(Endpoint), sizeof(Endpoint));
  std::memcpy(&out.record.towards, bytes + 2 * sizeof(Endpoint), sizeof(Endpoint));
  out.record.kind = bytes[kKindAt];
  out.record.proxy = bytes[kProxyAt];
  if (class_of(out.record.kind) != kGone) out.entry = &entry;
  return out;
}

/// From here on nobody reads the entry, until it is written; nor, if it names the VIP, the others of its flow.
void ToldTable::begin(Entry& entry) noexcept {
  const uint64_t head = __atomic_load_n(&entry.head, __ATOMIC_RELAXED);
  __atomic_store_n(&entry.head, head | 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);  // pairs with the reader's acquire fence, in read()
}

void ToldTable::write(Entry& entry, const Record& record, uint32_t now_s) noexcept {
  const Names names = pack(record);
  begin(entry);
  for (size_t i = 0; i < kWords; i++) __atomic_store_n(&entry.names.words[i], names.words[i], __ATOMIC_RELAXED);
  const uint32_t next = entry.version() + 1;
  __atomic_store_n(&entry.head, uint64_t{now_s} << 32 | (next == 0 ? 2 : next), __ATOMIC_RELEASE);
}

ToldTable::Seen ToldTable::find_fullnat(const Endpoint& client, const Endpoint& local) const noexcept {
  return find(client,
              [&](const Record& record) { return class_of(record.kind) == kFullnat && record.towards == local; });
}

ToldTable::Seen ToldTable::find_local(const Record& fullnat) const noexcept {
  return find(fullnat.towards,
              [&](const Record& record) { return class_of(record.kind) == kOfLocal && record.of == fullnat.key; });
}

ToldTable::Seen ToldTable::find_splice(const Record& of_flow) const noexcept {
  return find(of_flow.key,
              [&](const Record& record) { return class_of(record.kind) == kOfSplice && record.of == of_flow.of; });
}

/// The flow of which the entry that names its VIP has been read, if that entry is the same after the others were read.
std::optional<ToldFlow> ToldTable::whole(const Seen& of_flow) const noexcept {
  const Record& record = of_flow.record;
  ToldFlow out{.client = record.key, .vip = record.of, .backend = record.towards, .local = {}, .splice = {}};
  out.forwarding = static_cast<channel::Forwarding>(class_of(record.kind));
  out.stage = is_open(record.kind) ? FlowStage::kOpen : FlowStage::kPlaced;
  out.proxy_bytes = record.proxy & static_cast<uint8_t>(~kSpliced);
  if (out.forwarding == channel::Forwarding::kFullnat) {
    const Seen local = find_local(record);
    if (!local) return std::nullopt;
    out.local = record.towards;
    out.backend = local.record.towards;
  }
  if ((record.proxy & kSpliced) != 0) {
    const Seen splice = find_splice(record);
    if (!splice) return std::nullopt;
    out.splice = shown(splice.record.towards);
  }
  // The fences of read() pair with that of begin(): had another entry been of a later flow, so would be this version.
  return of_flow.entry->version() == of_flow.version ? std::optional(out) : std::nullopt;
}

std::optional<ToldFlow> ToldTable::from_client(const Endpoint& client, const Endpoint& vip) const noexcept {
  const Seen flow = find_flow(client, vip);
  return flow ? whole(flow) : std::nullopt;
}

std::optional<ToldFlow> ToldTable::from_backend(const Endpoint& client, const Endpoint& backend) const noexcept {
  constexpr auto kNat = static_cast<uint8_t>(channel::Forwarding::kNat);
  const Seen flow =
      find(client, [&](const Record& record) { return class_of(record.kind) == kNat && record.towards == backend; });
  return flow ? whole(flow) : std::nullopt;
}

std::optional<ToldFlow> ToldTable::from_local(const Endpoint& local, const Endpoint& backend) const noexcept {
  const Seen there =
      find(local, [&](const Record& record) { return class_of(record.kind) == kOfLocal && record.towards == backend; });
  const Seen flow = there ? find_fullnat(there.record.of, local) : Seen{};
  const auto out = flow ? whole(flow) : std::nullopt;
  return out && out->backend == backend ? out : std::nullopt;
}

uint32_t ToldTable::worker_of(const Endpoint& local, const Endpoint& backend) const noexcept {
  const Seen there =
      find(local, [&](const Record& record) { return class_of(record.kind) == kOfLocal && record.towards == backend; });
  return there ? there.record.proxy : kNoWorker;
}

bool ToldTable::is_own(const Record& of_flow) const noexcept {
  const Seen local = class_of(of_flow.kind) == kFullnat ? find_local(of_flow) : Seen{};
  return local && local.record.proxy != kNoWorker;
}

ToldTable::Records ToldTable::records_of(const ToldFlow& flow, uint32_t peer, uint32_t worker) noexcept {
  const bool is_fullnat = flow.forwarding == channel::Forwarding::kFullnat;
  const uint8_t spliced = flow.splice ? kSpliced : 0;
  const auto with_proxy = static_cast<uint8_t>((flow.proxy_bytes & ~kSpliced) | spliced);
  Records out;
  out.of[out.count++] = {flow.client, flow.vip, is_fullnat ? flow.local : flow.backend,
                         kind_of(flow, peer, static_cast<uint8_t>(flow.forwarding)), with_proxy};
  if (is_fullnat) {
    out.of[out.count++] = {flow.local, flow.client, flow.backend, kind_of(flow, peer, kOfLocal),
                           static_cast<uint8_t>(worker)};
  }
  if (flow.splice) out.of[out.count++] = {flow.client, flow.vip, hidden(*flow.splice), kind_of(flow, peer, kOfSplice)};
  return out;
}

/// Somebody's SYN at another node ends nothing: who has the flow would have told its end.
bool ToldTable::outranks(const Record& known, const Record& told) noexcept {
  return is_open(known.kind) && !is_open(told.kind) && peer_of(known.kind) != peer_of(told.kind);
}

bool ToldTable::gives_way_before(const Entry& a, const Entry& b) noexcept {
  const bool a_open = is_open(a.kind()), b_open = is_open(b.kind());
  return a_open != b_open ? b_open : static_cast<int32_t>(a.told_s() - b.told_s()) < 0;
}

/// Whether all is as it was told before, by whomever; then it has been told now.
bool ToldTable::refresh(const Seen& known, const Records& records, uint32_t now_s) noexcept {
  if (!records.of[0].says_as(known.record)) return false;
  std::array<Entry*, kMostEntries> same{known.entry};
  for (uint32_t i = 1; i < records.count; i++) {
    const Record& record = records.of[i];
    same[i] = find(record.key, [&](const Record& other) { return record.says_as(other); }).entry;
    if (same[i] == nullptr) return false;
  }
  for (uint32_t i = 0; i < records.count; i++) same[i]->touch(peer_of(records.of[i].kind), now_s);
  return true;
}

/// Forgets flows whose end nobody has told: those at the same endpoint of ours with the backend, or of the client, of a
/// fullnat flow. False if one is there that it does not end.
bool ToldTable::free_endpoint(const Records& records) noexcept {
  const Record& local = records.of[1];
  if (class_of(records.of[0].kind) != kFullnat) return true;
  while (const Seen other = find(local.key, [&](const Record& record) {
           return class_of(record.kind) == kOfLocal && (record.towards == local.towards || record.of == local.of);
         })) {
    if (outranks(other.record, local)) return false;
    forget_flow_of(*other.entry);
  }
  return true;
}

/// A free place of its bucket, else that of the flow that gives way first; none of `taken`. Null if there is none.
ToldTable::Entry* ToldTable::room_for(const Record& record, std::span<Entry* const> taken) const noexcept {
  Entry* bucket = bucket_of(record.key);
  Entry* oldest = nullptr;
  for (Entry* entry = bucket; entry != bucket + kPlaces; entry++) {
    if (std::ranges::find(taken, entry) != taken.end()) continue;
    if (entry->is_free()) return entry;
    if (oldest == nullptr || gives_way_before(*entry, *oldest)) oldest = entry;
  }
  const bool in_vain = !is_open(record.kind) && is_open(oldest->kind());
  return in_vain ? nullptr : oldest;
}

ToldTable::Put ToldTable::put(const ToldFlow& flow, uint32_t peer, uint32_t now_s, uint32_t worker) noexcept {
  const Seen known = find_flow(flow.client, flow.vip);
  const bool is_there = known && known.record.towards == flow.local;
  if (is_there && worker == kNoWorker && worker_of(flow.local, flow.backend) != kNoWorker) return Put::kKept;
  const Records records = records_of(flow, peer, worker);
  if (known && outranks(known.record, records.of[0])) return Put::kKept;
  if (known && refresh(known, records, now_s)) return Put::kRefreshed;
  std::array<Entry*, kMostEntries> rooms{known.entry};
  if (known) {
    begin(*known.entry);
    forget_others(known.record);
  }
  bool fits = free_endpoint(records);
  for (uint32_t i = known ? 1 : 0; fits && i < records.count; i++) {
    rooms[i] = room_for(records.of[i], std::span(rooms).first(i));
    fits = rooms[i] != nullptr;
  }
  if (!fits) {
    if (known) {
      clear(*known.entry);
      size_--;
    }
    return Put::kNoRoom;
  }
  bool displaced = false;
  for (uint32_t i = known ? 1 : 0; i < records.count; i++) {
    if (rooms[i]->is_free()) continue;  // or has become free with one before it
    forget_flow_of(*rooms[i]);
    displaced = true;
  }
  for (uint32_t i = records.count; i-- > 0;) write(*rooms[i], records.of[i], now_s);
  if (!known) size_++;
  if (displaced) return Put::kDisplaced;
  return known ? Put::kRefreshed : Put::kNew;
}

void ToldTable::forget(const Seen& of_flow) noexcept {
  clear(*of_flow.entry);
  size_--;
  forget_others(of_flow.record);
}

/// The entries of a flow but that which names its VIP, which nobody reads any more.
void ToldTable::forget_others(const Record& of_flow) noexcept {
  if (class_of(of_flow.kind) == kFullnat) {
    if (const Seen local = find_local(of_flow)) clear(*local.entry);
  }
  if ((of_flow.proxy & kSpliced) != 0) {
    if (const Seen splice = find_splice(of_flow)) clear(*splice.entry);
  }
}

/// The flow that has an entry, with all others that it has. An entry without its flow is nobody's.
void ToldTable::forget_flow_of(Entry& entry) noexcept {
  Seen flow = read(entry);
  const Record record = flow.record;
  if (class_of(record.kind) == kOfLocal) flow = find_fullnat(record.of, record.key);
  if (class_of(record.kind) == kOfSplice) flow = find_flow(record.key, record.of);
  if (flow) return forget(flow);
  clear(entry);
}

}  // namespace sluice
