// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/publisher.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "config/bounds.h"
#include "controlplane/tables/maglev.h"

namespace sluice::control {

using channel::Command;
using channel::CommandType;

namespace {

channel::PutBackend message_for(const DesiredBackend& backend, Id id, uint32_t workers) {
  channel::PutBackend message{};
  message.key = backend.key;
  message.address = backend.address;
  message.port = backend.port;
  message.generation = id.generation;
  message.next_hop = backend.next_hop;
  message.vlan = backend.vlan;
  message.port_index = backend.port_index;
  message.flags = backend.flags;
  message.weight = backend.weight;
  // Rounded up: a limit below the number of workers must not become "no limit".
  message.max_connections = (backend.max_connections + workers - 1) / workers;
  return message;
}

channel::PutService message_for(const DesiredService& service) {
  channel::PutService message{};
  message.key = service.key;
  message.vip = service.vip.address;
  message.port = service.vip.port;
  message.forwarding = service.forwarding;
  message.scheduler = service.scheduler;
  message.hash_on = service.hash_on;
  message.proxy = service.proxy;
  message.on_backend_down = service.on_backend_down;
  message.on_no_backend = service.on_no_backend;
  message.syn_proxy = service.syn_proxy;
  message.flags = service.flags;
  message.mss = service.mss;
  message.total_weight = service.total_weight;
  message.idle_timeout_ms = service.idle_timeout_ms;
  return message;
}

/// What the service says in place of the default that comes with it; not longer than the configuration lets it be.
channel::PutRefusal refusal_for(const DesiredService& service) {
  static_assert(channel::PutRefusal::kMaxBytes == config::kMaxRefusalBytes);
  channel::PutRefusal message{};
  message.bytes = static_cast<uint8_t>(service.refusal.copy(message.text, channel::PutRefusal::kMaxBytes));
  return message;
}

/// Erases from `published` what is not in `wanted`, each after `drop(key, value)`.
template <typename Map, typename Drop>
void drop_unwanted(Map& published, const std::unordered_set<uint64_t>& wanted, Drop drop) {
  for (auto it = published.begin(); it != published.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    drop(it->first, it->second);
    it = published.erase(it);
  }
}

}  // namespace

Publisher::Publisher(std::span<std::byte> arena, uint32_t workers, Ids ids)
    : arena_(arena), workers_(workers), allocator_(arena.size()), ids_(std::move(ids)) {}

void Publisher::aim_for(Desired desired) {
  desired_ = std::move(desired);
  partial_.clear();
  aimed_ = true;
}

std::vector<Command> Publisher::advance() {
  std::vector<Command> out;
  if (!aimed_) return out;
  const bool dropped = say_once(out);
  if (ran_out_ && dropped) {
    partial_.clear();  // others have no id now, if any
    say_once(out);
  }
  aimed_ = waiting_;
  return out;
}

bool Publisher::say_once(std::vector<Command>& out) {
  waiting_ = ran_out_ = false;
  fault_.clear();
  const bool snapshot = !snapshot_;
  if (snapshot) out.emplace_back(header(CommandType::kSnapshotBegin));
  put_secret(out);
  // Before the services: whom it blocks is not to come in between.
  put_sources(channel::kBlockedSources, desired_.sources, out);
  put_sources(channel::kExemptSources, desired_.limits.exempt, out);
  put_sources(channel::kRefusedSources, desired_.refused, out);
  put_locals(out);
  put_backends(out);
  put_services(out);
  put_routes(out);
  put_limits(out);         // after them: it names them by their ids
  put_server_routes(out);  // after backends, which tell whose traffic it is
  if (snapshot) out.emplace_back(header(CommandType::kSnapshotEnd));
  snapshot_ = true;
  // Invariant 3: as long as an old table may be in use, the ids in it stay taken.
  return !waiting_ && drop_the_rest(out);
}

void Publisher::put_secret(std::vector<Command>& out) {
  if (std::exchange(secret_, desired_.placement_secret) == desired_.placement_secret) return;
  out.emplace_back(channel::PutSecret{header(CommandType::kPutSecret), secret_});
}

void Publisher::ran_out(std::string_view what, size_t most) {
  ran_out_ = true;
  fault_ = "more " + std::string(what) + " than the data plane has ids for (" + std::to_string(most) + ")";
}

void Publisher::number(std::span<Command> commands) {
  for (Command& command : commands) command.header.sequence = static_cast<uint32_t>(++sequence_);
}

void Publisher::acknowledge(uint64_t sequence) {
  acknowledged_ = sequence;
  allocator_.acknowledge(sequence);
}

channel::BackendId Publisher::backend_id(uint64_t key) const {
  const auto it = backends_.find(key);
  return it == backends_.end() ? channel::kNoBackend : it->second.id.value;
}

channel::ServiceId Publisher::service_id(uint64_t key) const {
  const auto it = services_.find(key);
  return it == services_.end() ? channel::kNoService : it->second.id.value;
}

channel::CommandHeader Publisher::header(CommandType type, uint16_t id) {
  return {type, 0, id, static_cast<uint32_t>(++sequence_)};
}

void Publisher::put_locals(std::vector<Command>& out) {
  for (const DesiredLocal& local : desired_.locals) {
    if (locals_.contains(local.key)) continue;
    const auto id = ids_.locals.acquire(local.key);
    if (!id) {
      ran_out("addresses of our own", channel::kMaxLocals);
      continue;
    }
    channel::PutLocal message{};
    message.header = header(CommandType::kPutLocal, id->value);
    message.key = local.key;
    message.address = local.address;
    message.generation = id->generation;
    message.port_index = local.port_index;
    message.flags = local.of_peer ? channel::kLocalOfPeer : 0;
    out.emplace_back(message);
    locals_.emplace(local.key, *id);
  }
}

void Publisher::put_backends(std::vector<Command>& out) {
  for (const DesiredBackend& backend : desired_.backends) {
    const auto known = backends_.find(backend.key);
    if (known != backends_.end() && known->second.backend == backend) continue;
    const auto id = ids_.backends.acquire(backend.key);
    if (!id) {
      ran_out("backends", channel::kMaxBackends);
      continue;
    }
    channel::PutBackend message = message_for(backend, *id, workers_);
    const auto sole_service = backend.sole_service == 0 ? std::nullopt : ids_.services.acquire(backend.sole_service);
    message.sole_service = sole_service ? sole_service->value : channel::kNoService;
    message.header = header(CommandType::kPutBackend, id->value);
    out.emplace_back(message);
    backends_.insert_or_assign(backend.key, PublishedBackend{backend, *id});
  }
}

void Publisher::put_services(std::vector<Command>& out) {
  for (const DesiredService& service : desired_.services) {
    const auto known = services_.find(service.key);
    if (known != services_.end() && known->second.service == service) continue;
    if (!put_service(service, out)) waiting_ = true;
  }
}

bool Publisher::put_service(const DesiredService& service, std::vector<Command>& out) {
  const auto id = ids_.services.acquire(service.key);
  if (!id) {
    ran_out("services", channel::kMaxServices);
    return true;
  }
  channel::PutService message = message_for(service);
  const auto known = services_.find(service.key);
  PublishedService published{service, *id};
  published.service.table = publishable(service.table);
  const TableSlot* slot = place_table(published.service.table);
  if (slot == nullptr && !service.table->entries.empty()) {
    if (known != services_.end()) return false;  // stays on its old table meanwhile
    published.service.table = std::make_shared<const Table>();
  } else if (slot != nullptr) {
    message.table_generation = slot->generation;
    message.table_offset = slot->slot.offset;
    message.table_entries = static_cast<uint32_t>(service.table->entries.size());
  }
  message.header = header(CommandType::kPutService, id->value);
  out.emplace_back(message);
  if (service.refusal != channel::kDefaultRefusal) {
    channel::PutRefusal refusal = refusal_for(service);
    refusal.header = header(CommandType::kPutRefusal, id->value);
    out.emplace_back(refusal);
  }
  // The new reference was taken above, so a table that stays is not given up in between.
  const std::shared_ptr<const Table> before = known == services_.end() ? nullptr : known->second.service.table;
  const bool complete = slot != nullptr || service.table->entries.empty();
  services_.insert_or_assign(service.key, std::move(published));
  if (before != nullptr) let_go(before.get());
  return complete;
}

std::shared_ptr<const Table> Publisher::publishable(const std::shared_ptr<const Table>& table) {
  const auto has_id = [this](uint64_t key) { return backends_.contains(key); };
  if (!ran_out_ || std::ranges::all_of(table->members, has_id)) return table;
  std::shared_ptr<const Table>& partial = partial_[table.get()];
  // write_table() leaves out who has no id; being another object, it is seen not to be what is desired.
  if (partial == nullptr) partial = std::make_shared<const Table>(*table);
  return partial;
}

const Publisher::TableSlot* Publisher::place_table(const std::shared_ptr<const Table>& table) {
  if (table->entries.empty()) return nullptr;
  auto known = tables_.find(table.get());
  if (known == tables_.end()) {
    const auto slot = allocator_.allocate(table->entries.size() * sizeof(channel::BackendId));
    if (!slot) {
      if (allocator_.lent() == 0) fault_ = "the channel's memory has no room for a table; use a smaller table_size";
      return nullptr;
    }
    write_table(*table, *slot);
    known = tables_.emplace(table.get(), TableSlot{*slot, ++table_generation_, 0}).first;
  }
  known->second.users++;
  return &known->second;
}

void Publisher::write_table(const Table& table, ArenaSlot slot) {
  std::vector<channel::BackendId> ids;
  ids.reserve(table.members.size());
  for (const uint64_t key : table.members) ids.push_back(backend_id(key));
  auto* out = reinterpret_cast<channel::BackendId*>(arena_.data() + size_t{slot.offset} * channel::kArenaUnit);
  for (const uint16_t member : table.entries) *out++ = member == kNobody ? channel::kNoBackend : ids[member];
}

void Publisher::let_go(const Table* table) {
  const auto known = tables_.find(table);
  if (known == tables_.end() || --known->second.users != 0) return;
  allocator_.release(known->second.slot, sequence_);
  tables_.erase(known);
}

bool Publisher::is_all_wanted() const {
  // All that is wanted is published, each under a key of its own: where there are as many, there are no others.
  return !ran_out_ && services_.size() == desired_.services.size() && backends_.size() == desired_.backends.size() &&
         locals_.size() == desired_.locals.size();
}

bool Publisher::drop_the_rest(std::vector<Command>& out) {
  if (is_all_wanted()) return false;
  const size_t before = out.size();
  std::unordered_set<uint64_t> wanted;
  for (const DesiredService& service : desired_.services) wanted.insert(service.key);
  for (const DesiredBackend& backend : desired_.backends) wanted.insert(backend.key);
  for (const DesiredLocal& local : desired_.locals) wanted.insert(local.key);
  drop_unwanted(services_, wanted, [&](uint64_t key, const PublishedService& published) {
    out.emplace_back(header(CommandType::kDropService, published.id.value));
    let_go(published.service.table.get());
    ids_.services.release(key);
  });
  drop_unwanted(backends_, wanted, [&](uint64_t key, const PublishedBackend& published) {
    out.emplace_back(header(CommandType::kDropBackend, published.id.value));
    ids_.backends.release(key);
  });
  drop_unwanted(locals_, wanted, [&](uint64_t key, Id id) {
    out.emplace_back(header(CommandType::kDropLocal, id.value));
    ids_.locals.release(key);
  });
  return out.size() != before;
}

}  // namespace sluice::control
