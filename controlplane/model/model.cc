// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ranges>
#include <utility>

#include "controlplane/model/for_workers.h"
#include "controlplane/tables/maglev.h"
#include "controlplane/tables/turns.h"
#include "controlplane/weights/slow_start.h"

namespace sluice::control {

namespace {

/// Call after a change: one that could not take traffic and now can begins its slow start.
void note_recovery(Member& member, bool was_usable, SystemTime now) {
  const bool usable = member.is_usable();
  const bool is_down = member.health == Health::kDown && member.standing != Standing::kHeld;
  if ((was_usable && !usable) || is_down) member.was_out = true;
  if (!usable) member.recovering_since.reset();
  if (!was_usable && usable && std::exchange(member.was_out, false)) member.recovering_since = now;
}

}  // namespace

std::string Placement::label() const {
  return check.empty() ? fmt::format("{}:{}", pool, port) : fmt::format("{}:{} ({})", pool, port, check);
}

bool Placement::is_like(const Placement& other) const {
  return port == other.port && table_size == other.table_size && in_turn == other.in_turn && pool == other.pool;
}

template <typename Change>
bool Model::change(size_t index, Change apply) {
  Member& member = members_[index];
  const std::string_view state = member.state();
  const DesiredBackend before = desired_backend(member);
  const double weight = member.own_weight();
  const bool was_usable = member.is_usable();
  apply(member);
  note_recovery(member, was_usable, journal_->now());
  if (member.state() != state) {
    member.since = journal_->now();
    const bool good = member.state() == "up" || member.state() == "checking";
    journal_->record(good ? Severity::kInfo : Severity::kWarning, "backend", member.label(),
                     fmt::format("{} (was {}): {}", member.state(), state, member.reason()));
  }
  // The table takes weights more finely than workers do, and one in a tier that does not take traffic counts too.
  return desired_backend(member) != before || member.own_weight() != weight || member.is_usable() != was_usable;
}

bool Model::set_health(size_t member, Health health, std::string reason) {
  return change(member, [&](Member& m) {
    m.health = health;
    m.health_reason = std::move(reason);
    if (health == Health::kUp || health == Health::kSoft) m.last_good = health;
  });
}

bool Model::judge(size_t member, Judgement judgement) {
  return change(member, [&](Member& m) {
    if (judgement.found) {
      m.health = judgement.found->health;
      m.health_reason = std::move(judgement.found->reason);
      if (m.health == Health::kUp || m.health == Health::kSoft) m.last_good = m.health;
    }
    if (judgement.next_hop) take_next_hop(m, std::move(*judgement.next_hop));
    m.standing = judgement.standing;
    m.standing_why = std::move(judgement.why);
  });
}

void Model::set_not_run(size_t index, std::string reason) {
  Member& member = members_[index];
  if (member.not_run.empty() != reason.empty())
    journal_->record(reason.empty() ? Severity::kInfo : Severity::kWarning, "backend", member.label(),
                     reason.empty() ? "its checks can be run again"
                                    : "its checks cannot be run, so nothing new is known of it: " + reason);
  member.not_run = std::move(reason);
}

void Model::set_panic(size_t index, std::optional<PoolPanic> panic) {
  Placement& placement = placements_[index];
  const bool begins = panic && !placement.panic;
  if (begins)
    journal_->record(
        Severity::kError, "pool", placement.label(),
        fmt::format("panic: {}; new sessions are placed as before and open ones are kept; {}", panic->why, panic->end));
  if (!panic && placement.panic)
    journal_->record(Severity::kInfo, "pool", placement.label(), "panic is over: it goes by what is found out again");
  if (panic && !begins) panic->since = placement.panic->since;
  placement.panic = std::move(panic);
}

bool Model::set_next_hop(size_t member, Reachability next_hop) {
  return change(member, [&](Member& m) { take_next_hop(m, std::move(next_hop)); });
}

void Model::take_next_hop(Member& member, Reachability next_hop) const {
  member.next_hop = std::move(next_hop);
  if (member.next_hop) member.last_way = *member.next_hop;
  member.has_local = has_local(member);
  member.port_out = port_out(member);
}

bool Model::set_local_addresses(std::vector<LocalAddress> addresses) {
  if (addresses.size() > channel::kMaxLocals) {
    journal_->record(Severity::kWarning, "control", "addresses",
                     fmt::format("{} addresses of ours face backends; the first {} are used", addresses.size(),
                                 channel::kMaxLocals));
    addresses.resize(channel::kMaxLocals);
  }
  bool changed = addresses != local_addresses_;
  local_addresses_ = std::move(addresses);
  for (size_t i = 0; i < members_.size(); i++) {
    changed |= change(i, [&](Member& m) { m.has_local = has_local(m); });
  }
  return changed;
}

bool Model::has_local(const Member& member) const {
  return member.last_way && std::ranges::any_of(local_addresses_, [&](const LocalAddress& local) {
           return local.twin == member.last_way->twin && local.address.is_v4() == member.address.is_v4();
         });
}

bool Model::set_ports(std::vector<BoundPort> ports) {
  ports_ = std::move(ports);
  bool changed = false;
  for (size_t i = 0; i < members_.size(); i++) {
    changed |= change(i, [&](Member& m) { m.port_out = port_out(m); });
  }
  return changed;
}

BoundPort Model::port_out(const Member& member) const {
  if (!member.last_way) return {};
  const std::string& twin = member.last_way->twin;
  const BoundPort* found = find_by_twin(ports_, twin);
  return found != nullptr ? *found : BoundPort{.name = "?", .fault = "no port has the twin " + twin};
}

bool Model::set_admin(size_t member, Admin admin, std::string reason) {
  if (members_[member].admin == admin && members_[member].admin_reason == reason) return false;
  return change(member, [&](Member& m) {
    m.admin = admin;
    m.admin_reason = std::move(reason);
  });
}

bool Model::set_leaving(size_t member, bool leaving) {
  if (members_[member].leaving == leaving) return false;
  if (leaving) {
    journal_->record(Severity::kInfo, "backend", members_[member].label(),
                     "its sessions are told 421 between messages from now on");
  }
  return change(member, [&](Member& m) { m.leaving = leaving; });
}

bool Model::set_node_leaving(bool leaving) {
  if (node_leaving_ == leaving) return false;
  node_leaving_ = leaving;
  if (leaving)
    journal_->record(Severity::kInfo, "node", "drain", "all sessions are told 421 between messages from now on");
  return true;
}

bool Model::set_weight_by_hand(size_t member, std::optional<uint32_t> weight) {
  if (members_[member].weight_by_hand == weight) return false;
  return change(member, [&](Member& m) { m.weight_by_hand = weight; });
}

bool Model::set_factor(size_t member, Factor Member::* which, Factor factor) {
  if (members_[member].*which == factor) return false;
  return change(member, [&](Member& m) { m.*which = std::move(factor); });
}

bool Model::set_agent_max_connections(size_t member, std::optional<uint32_t> limit) {
  return change(member, [&](Member& m) { m.agent_max_connections = limit; });
}

void Model::refresh() {
  next_step_.reset();
  // Backwards: what is shown of a member in several placements is what the first one makes of it.
  for (Placement& placement : std::views::reverse(placements_)) refresh(placement);
}

void Model::refresh(Placement& placement) {
  choose_tier(placement);
  prefer_own_zone(placement);
  ease_in(placement);
  judge(placement);
  std::vector<uint32_t> weights;
  weights.reserve(placement.members.size());
  for (const size_t i : placement.members) {
    weights.push_back(placement.in_service ? table_weight(effective_weight(members_[i].factors())) : 0);
  }
  if (weights == placement.table_weights) return;
  placement.total_weight = 0;
  auto table = std::make_shared<Table>();
  if (std::any_of(weights.begin(), weights.end(), [](uint32_t weight) { return weight != 0; })) {
    std::vector<MaglevMember> names;
    std::vector<Endpoint> endpoints;
    for (size_t i = 0; i < weights.size(); i++) {
      const Member& member = members_[placement.members[i]];
      names.push_back({member.name, weights[i]});
      endpoints.push_back({to_wire(member.address), Be16::of(member.port)});
      table->members.push_back(member.key);
      placement.total_weight += weights[i] == 0 ? 0 : message_weight(effective_weight(member.factors()));
    }
    table->entries =
        placement.in_turn ? build_turns(weights, placement.table_size) : build_maglev(names, placement.table_size);
    table->digest = table_digest(endpoints, table->entries, placement_secret_);
  }
  placement.table = std::move(table);
  placement.table_weights = std::move(weights);
}

void Model::choose_tier(Placement& placement) {
  std::optional<uint32_t> lowest;
  bool active_is_out = true;
  const auto may_serve = [&](size_t i) { return members_[i].own_weight() > 0; };
  const auto is_well = [&](size_t i) { return may_serve(i) && members_[i].standing != Standing::kHeld; };
  // Those that fail and are held serve only where nobody else can.
  const bool any_is_well = std::ranges::any_of(placement.members, is_well);
  for (const size_t i : placement.members) {
    const Member& member = members_[i];
    if (any_is_well ? !is_well(i) : !may_serve(i)) continue;
    lowest = std::min(lowest.value_or(member.tier_number), member.tier_number);
    if (member.tier_number == placement.tiers.active()) active_is_out = false;
  }
  const auto before = placement.tiers.active();
  const auto hold = placement.tier_is_provisional ? std::chrono::milliseconds(0) : placement.tier_hold;
  const auto moved = placement.tiers.update(lowest, active_is_out, hold, journal_->now());
  if (placement.tiers.active() != before) {
    placement.tier_is_provisional = std::ranges::any_of(placement.members, [&](size_t i) {
      return members_[i].tier_number < placement.tiers.active() && members_[i].health == Health::kUnknown;
    });
  }
  if (moved) journal_->record(active_is_out ? Severity::kWarning : Severity::kInfo, "pool", placement.label(), *moved);
  if (placement.tiers.due()) step_due(*placement.tiers.due());
  const uint32_t active = placement.tiers.active().value_or(0);
  for (const size_t i : placement.members) {
    Member& member = members_[i];
    member.tier = member.tier_number == active
                      ? Factor{}
                      : Factor{0, fmt::format("tier {}, and tier {} takes the traffic", member.tier_number, active)};
  }
}

void Model::ease_in(Placement& placement) {
  const SystemTime now = journal_->now();
  std::vector<double> shares(placement.members.size(), 1);
  double most = 0;  // of those that take traffic
  for (size_t i = 0; i < shares.size(); i++) {
    Member& member = members_[placement.members[i]];
    if (member.recovering_since) {
      member.recovering_since = std::min(*member.recovering_since, now);  // a clock that was set back
      const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - *member.recovering_since);
      if (placement.slow_start.count() > 0) shares[i] = slow_start_share(elapsed, placement.slow_start);
      const auto step = next_slow_start_step(elapsed, placement.slow_start);
      if (step) step_due(*member.recovering_since + *step);
    }
    if (member.tier.value > 0 && member.own_weight() > 0) most = std::max(most, shares[i]);
  }
  for (size_t i = 0; i < shares.size(); i++) {
    Member& member = members_[placement.members[i]];
    member.slow_start = {};
    if (shares[i] >= 1 || most <= 0) continue;
    // Held against the one that is furthest: where all come back at once, none takes from another.
    member.slow_start = {std::min(1.0, shares[i] / most),
                         fmt::format("{:.0f}% of its way back after it was out", 100 * shares[i])};
  }
}

void Model::step_due(SystemTime time) {
  next_step_ = std::min(next_step_.value_or(time), time);
}

void Model::judge(Placement& placement) {
  size_t usable = 0;
  bool any_weight = false;
  // Once the hold is over, those that only no better one is left for are none that min_healthy asks for.
  const bool may_count_held = placement.min_healthy == 0 || !placement.panic || placement.panic->until.has_value();
  for (const size_t i : placement.members) {
    usable += members_[i].is_usable() && (may_count_held || members_[i].standing != Standing::kHeld);
    any_weight |= effective_weight(members_[i].factors()) > 0;
  }
  const bool in_service = usable >= placement.min_healthy && any_weight;
  std::string reason =
      fmt::format("{} of {} backends usable, min_healthy {}", usable, placement.members.size(), placement.min_healthy);
  if (placement.panic) reason += fmt::format("; panic: {}; {}", placement.panic->why, placement.panic->end);
  if (in_service != placement.in_service) {
    placement.since = journal_->now();
    journal_->record(in_service ? Severity::kInfo : Severity::kError, "pool", placement.label(),
                     fmt::format("{} service: {}", in_service ? "in" : "out of", reason));
  }
  placement.is_judged = true;
  placement.in_service = in_service;
  placement.reason = reason;
}

Desired Model::desired() const {
  Desired out;
  out.placement_secret = placement_secret_;
  out.backends.reserve(members_.size());
  out.services.reserve(services_.size() + removed_services_.size());
  for (const Member& member : members_) {
    out.backends.push_back(desired_backend(member));
    if (node_leaving_) out.backends.back().flags |= channel::kBackendLeaving;
  }
  for (const ServiceState& service : services_) {
    out.services.push_back(desired_service(service, placements_[service.placement]));
  }
  // One that was removed has no table: new flows are refused, as where nothing listens.
  static const Placement kNowhere;
  for (const RemovedService& service : removed_services_) out.services.push_back(desired_service(service, kNowhere));
  for (const RouteState& route : routes_)
    out.routes.push_back({route.service, route.sources, placements_[route.placement].table});
  for (const LocalAddress& local : local_addresses_) {
    const BoundPort* port = find_by_twin(ports_, local.twin);
    const bool of_peer = local.is_of_peer();  // it goes with no port: backends are reached by their own
    if (!of_peer && (port == nullptr || !port->index)) continue;
    const Address address = to_wire(local.address);
    out.locals.push_back({local_key(address, local.twin), address, of_peer ? uint8_t{0} : *port->index, of_peer});
  }
  return out;
}

std::pair<const Placement*, const RouteState*> Model::way_of(const ServiceState& service,
                                                             const config::IpAddress& client) const {
  for (const RouteState& route : routes_) {
    if (route.service == service.key && route.sources->contains(client)) return {&placements_[route.placement], &route};
  }
  return {&placements_[service.placement], nullptr};
}

uint64_t Model::new_composition() {
  static uint64_t latest = 0;
  return ++latest;
}

bool Model::is_settled() const {
  return std::all_of(members_.begin(), members_.end(), [](const Member& member) {
    return member.health == Health::kDown || (member.health != Health::kUnknown && member.has_way());
  });
}

}  // namespace sluice::control
