// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_names.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace sluice::control {

namespace {

constexpr uint64_t kTurnsBetween = 50;  // names change by a reload only; a record's may be so many turns old

std::shared_ptr<const BackendNames> names_of(const Member& member) {
  return std::make_shared<const BackendNames>(member.pool, member.name, member.address.to_string(), member.port);
}

}  // namespace

void SessionNames::begin_turn() {
  const Publisher* publisher = channel_.publisher();
  const uint64_t applied = publisher == nullptr ? 0 : publisher->acknowledged();
  const bool news = std::exchange(applied_, applied) != applied;
  if (turn_++ % kTurnsBetween == 0 || news) remember_backends();
}

/// Those of which nothing is known yet.
void SessionNames::remember_backends() {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr || mapping->workers() == 0) return;
  const auto& identities = mapping->worker_stats(0).backend_ids;
  std::unordered_map<uint64_t, const Member*> members;
  for (size_t id = 0; id < channel::kMaxBackends; id++) {
    KnownBackend& known = backends_[id];
    const uint64_t key = identities[id].key;
    const uint16_t generation = identities[id].generation;
    if (key == 0 || (known.names != nullptr && known.generation == generation)) continue;
    if (members.empty())
      for (const Member& member : model_.members()) members.emplace(member.key, &member);
    if (const auto found = members.find(key); found != members.end())
      known = {.turn = turn_, .generation = generation, .names = names_of(*found->second)};
  }
}

std::shared_ptr<const ServiceNames> SessionNames::service(uint32_t worker, channel::ServiceId id) {
  if (id >= channel::kMaxServices) return nullptr;
  KnownService& known = services_[id];
  if (known.turn != 0 && turn_ - known.turn < kTurnsBetween) return known.names;
  known.turn = turn_;
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr || worker >= mapping->workers()) return known.names;
  auto names = look_up_service(mapping->worker_stats(worker).service_ids[id].key);
  if (names != nullptr) known.names = std::move(names);
  return known.names;
}

std::shared_ptr<const BackendNames> SessionNames::backend(uint32_t worker, channel::BackendId id, uint16_t generation) {
  if (id >= channel::kMaxBackends) return nullptr;
  KnownBackend& known = backends_[id];
  const bool same = known.names != nullptr && known.generation == generation;
  if (same && turn_ - known.turn < kTurnsBetween) return known.names;
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr || worker >= mapping->workers()) return same ? known.names : nullptr;
  const channel::Identity& identity = mapping->worker_stats(worker).backend_ids[id];
  auto names = identity.generation == generation ? look_up_backend(identity.key) : nullptr;
  if (names == nullptr) return same ? known.names : nullptr;
  known = {.turn = turn_, .generation = generation, .names = std::move(names)};
  return known.names;
}

std::shared_ptr<const ServiceNames> SessionNames::look_up_service(uint64_t key) const {
  if (key == 0) return nullptr;
  const auto names_of = [](const ServiceState& service) {
    return std::make_shared<const ServiceNames>(service.config.name, service.config.vip.to_string(),
                                                service.config.port);
  };
  const auto found = std::ranges::find(model_.services(), key, &ServiceState::key);
  if (found != model_.services().end()) return names_of(*found);
  const auto removed = std::ranges::find(model_.removed_services(), key, &RemovedService::key);
  return removed == model_.removed_services().end() ? nullptr : names_of(*removed);
}

std::shared_ptr<const BackendNames> SessionNames::look_up_backend(uint64_t key) const {
  if (key == 0) return nullptr;
  const auto found = std::ranges::find(model_.members(), key, &Member::key);
  if (found == model_.members().end()) return nullptr;
  return names_of(*found);
}

}  // namespace sluice::control
