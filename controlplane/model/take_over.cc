// SPDX-License-Identifier: Apache-2.0
//
// How a model goes on where an earlier one stands. Flows are bound to an address and a port and not to names, so each
// member goes on with the data plane's backend of one before at its address and port, under that one's key; where
// several are there, as under several checks, the most alike go together. It stays one backend for each member, and not
// one for each endpoint: weight, limit of connections, state by hand and figures are a member's own, and nothing of
// one cuts flows of another. Families differ by address; the way of forwarding is kept with each flow. A service
// is its VIP and port.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "controlplane/base/times.h"
#include "controlplane/model/leaving.h"
#include "controlplane/model/model.h"

namespace sluice::control {

namespace {

using EndpointOrder = std::pair<config::IpAddress, uint16_t>;

/// How unlike two members at one endpoint are; 0: the same in everything.
int unlikeness(const Member& before, const Member& after) {
  int out = 0;
  if (before.removal) out += 8;
  if (before.pool != after.pool) out += 4;
  if (before.name != after.name) out += 2;
  if (before.check != after.check) out += 1;
  return out;
}

/// For each of `after`, which of `before` it goes on with, if any.
std::vector<std::optional<size_t>> matches(const std::vector<Member>& before, const std::vector<Member>& after) {
  std::map<EndpointOrder, std::vector<size_t>> known;
  for (size_t i = 0; i < before.size(); i++) known[{before[i].address, before[i].port}].push_back(i);
  std::map<EndpointOrder, std::vector<size_t>> wanted;
  for (size_t i = 0; i < after.size(); i++) wanted[{after[i].address, after[i].port}].push_back(i);
  std::vector<std::optional<size_t>> out(after.size());
  for (const auto& [endpoint, now] : wanted) {
    const auto then = known.find(endpoint);
    if (then == known.end()) continue;
    if (now.size() == 1 && then->second.size() == 1) {
      out[now.front()] = then->second.front();
      continue;
    }
    std::vector<std::tuple<int, size_t, size_t>> pairs;
    for (const size_t a : now) {
      for (const size_t b : then->second) pairs.emplace_back(unlikeness(before[b], after[a]), a, b);
    }
    std::ranges::sort(pairs);
    std::unordered_set<size_t> taken;
    for (const auto& [rank, a, b] : pairs) {
      if (!out[a] && taken.insert(b).second) out[a] = b;
    }
  }
  return out;
}

/// What a pool or the operator made of its weight is no longer so.
Member without_traffic(Member member, Removal removal, SystemTime now) {
  member.since = removal.since;
  member.removal = removal;
  member.admin = Admin::kEnabled;
  member.leaving = now >= leaving_from(removal.since, removal.deadline);
  member.sole_service = 0;
  member.needs_link = member.needs_local = false;
  member.warm_up_plan.reset();
  member.weight_by_hand.reset();
  member.recovering_since.reset();
  for (Factor* factor :
       {&member.warm_up, &member.slow_start, &member.passive, &member.agent, &member.tier, &member.zone_factor})
    *factor = {};
  return member;
}

}  // namespace

Model::Model(Remembered before, Journal& journal)
    : journal_(&journal),
      members_(std::move(before.members)),
      services_(std::move(before.services)),
      removed_services_(std::move(before.removed_services)),
      removal_rules_(std::move(before.removal_rules)),
      local_addresses_(std::move(before.local_addresses)) {}

void Model::take_over(const Model& before) {
  local_addresses_ = before.local_addresses_;
  ports_ = before.ports_;
  node_leaving_ = before.node_leaving_;
  std::map<config::IpAddress, const Member*> by_address;
  for (const Member& member : before.members_) by_address.emplace(member.address, &member);
  const auto matched = matches(before.members_, members_);
  std::vector<bool> goes_on(before.members_.size());
  for (size_t i = 0; i < matched.size(); i++) {
    Member& member = members_[i];
    if (matched[i]) {
      const Member& earlier = before.members_[*matched[i]];
      goes_on[*matched[i]] = true;
      member.take_over(earlier);
      if (earlier.removal) {
        member.since = journal_->now();
        journal_->record(Severity::kInfo, "backend", member.label(), "is in its pool again, before its drain was over");
      }
    } else if (const auto near = by_address.find(member.address); near != by_address.end()) {
      member.next_hop = near->second->next_hop;
      member.last_way = near->second->last_way;
    }
    member.has_local = has_local(member);
    member.port_out = port_out(member);
  }
  make_keys_unique(matched);
  for (size_t i = 0; i < goes_on.size(); i++) {
    if (!goes_on[i]) remove(before.members_[i], before);
  }
  for (size_t i = 0; i < placements_.size(); i++) {
    if (const Placement* earlier = earlier_of(i, before)) take_over(placements_[i], *earlier, before);
  }
  take_over_services(before);
}

void Model::make_keys_unique(const std::vector<std::optional<size_t>>& matched) {
  // A name that was given to another may come back at the same endpoint.
  std::unordered_set<uint64_t> taken;
  for (size_t i = 0; i < matched.size(); i++) {
    if (matched[i]) taken.insert(members_[i].key);
  }
  for (size_t i = 0; i < matched.size(); i++) {
    Member& member = members_[i];
    while (!matched[i] && !taken.insert(member.key).second) {
      member.key = backend_key(member.pool, member.name, member.endpoint(), fmt::format("{:x}", member.key));
    }
  }
}

const Placement* Model::earlier_of(size_t placement, const Model& before) const {
  const Placement* earlier = nullptr;
  for (const Placement& other : before.placements_) {
    if (!other.is_like(placements_[placement])) continue;
    if (earlier == nullptr || other.check == placements_[placement].check) earlier = &other;
  }
  if (earlier != nullptr) return earlier;
  // The pool has another name, or its services another scheduler.
  for (const ServiceState& service : services_) {
    if (service.placement != placement) continue;
    const auto same = std::ranges::find(before.services_, service.key, &ServiceState::key);
    if (same != before.services_.end() && same->placement != kNoPlacement) return &before.placements_[same->placement];
  }
  return nullptr;
}

void Model::take_over(Placement& placement, const Placement& earlier, const Model& before) const {
  placement.tiers = earlier.tiers;
  placement.tier_is_provisional = earlier.tier_is_provisional;
  placement.certificate_fault = earlier.certificate_fault;
  placement.starttls_fault = earlier.starttls_fault;
  placement.panic = earlier.panic;
  placement.is_judged = earlier.is_judged;
  placement.in_service = earlier.in_service;
  placement.reason = earlier.reason;
  placement.since = earlier.since;
  // Tables go by names.
  const auto is_same = [&](size_t a, size_t b) {
    return members_[a].key == before.members_[b].key && members_[a].name == before.members_[b].name;
  };
  const bool same = placement.table_size == earlier.table_size && placement.in_turn == earlier.in_turn &&
                    std::ranges::equal(placement.members, earlier.members, is_same);
  if (!same) return;
  placement.table = earlier.table;
  placement.table_weights = earlier.table_weights;
  placement.total_weight = earlier.total_weight;
}

void Model::take_over_services(const Model& before) {
  const SystemTime now = journal_->now();
  std::unordered_map<uint64_t, const ServiceState*> staying;
  for (const ServiceState& service : services_) staying.emplace(service.key, &service);
  const auto keep = [&](const ServiceState& service, std::optional<Removal> earlier) {
    if (const auto now_there = staying.find(service.key); now_there != staying.end()) {
      if (!earlier) return;
      journal_->record(Severity::kInfo, "service", now_there->second->config.name,
                       "is in the file again, before its drain was over");
      return;
    }
    const auto removal = removal_of(service.config.pool, earlier, before, now);
    if (!removal) return;
    removed_services_.push_back({service, *removal});
    if (earlier) return;
    journal_->record(Severity::kInfo, "service", service.config.name, "left the file: " + reason_of(*removal));
  };
  for (const ServiceState& service : before.services_) keep(service, std::nullopt);
  for (const RemovedService& service : before.removed_services_) keep(service, service.removal);
}

void Model::remove(const Member& member, const Model& before) {
  const auto removal = removal_of(member.pool, member.removal, before, journal_->now());
  if (!removal) return;
  members_.push_back(without_traffic(member, *removal, journal_->now()));
  if (!member.removal) {
    journal_->record(Severity::kInfo, "backend", members_.back().label(), "left its pool: " + reason_of(*removal));
  }
}

std::optional<Removal> Model::removal_of(const std::string& pool, std::optional<Removal> earlier, const Model& before,
                                         SystemTime now) const {
  auto rule = removal_rules_.find(pool);
  const bool is_in_file = rule != removal_rules_.end();
  if (!is_in_file) rule = before.removal_rules_.find(pool);
  const bool is_known = is_in_file || rule != before.removal_rules_.end();
  const RemovalRule said = is_known ? rule->second : RemovalRule{};
  if (earlier && !is_in_file) return earlier;  // nothing new is said of it
  if (said.on_removal == config::OnRemoval::kReset) return std::nullopt;
  Removal out = earlier.value_or(Removal{.since = now, .deadline = now, .empty_since = {}});
  out.deadline = out.since + said.deadline;
  return out;
}

}  // namespace sluice::control
