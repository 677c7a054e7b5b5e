// SPDX-License-Identifier: Apache-2.0
//
// How a model comes to be, from a configuration.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "controlplane/model/model.h"

namespace sluice::control {

namespace {

const std::string& check_of(const config::Service& service, const config::Pool& pool) {
  return service.check.empty() ? pool.check : service.check;
}

}  // namespace

Model::Model(const config::Config& config, Journal& journal, uint64_t placement_secret)
    : journal_(&journal),
      placement_secret_(placement_secret),
      own_zone_(config.fleet.zone),
      has_peers_(config.fleet.peers.listen.has_value()),
      ports_(assume_ports(config.dataplane.ports)) {
  for (const config::Service& service : config.services) {
    const config::Pool* pool = config.find_pool(service.pool);
    if (pool == nullptr) continue;  // load() refuses this
    const Endpoint vip{to_wire(service.vip), Be16::of(service.port)};
    services_.push_back({service, add_placement(config, service, *pool), service_key(vip)});
  }
  add_routes(config);
  for (const config::Pool& pool : config.pools) {
    removal_rules_.emplace(pool.name, RemovalRule{pool.on_removal, pool.removal_deadline});
  }
  name_variants(config);
  name_sole_services();
  name_needs();
}

void Model::add_routes(const config::Config& config) {
  for (const config::Route& route : config.sources.routes) {
    const auto service = std::ranges::find(services_, route.service, [](const auto& each) { return each.config.name; });
    const config::Pool* pool = config.find_pool(route.pool);
    if (service == services_.end() || pool == nullptr) continue;  // load() refuses this
    routes_.push_back(
        {route, service->key, add_placement(config, service->config, *pool), SourceList::of(route.from, {})});
  }
}

void Model::name_variants(const config::Config& config) {
  // By what the file says and not by its order: the label of a member is that of its figures.
  for (const auto& [endpoint, same] : members_by_endpoint_) {
    if (same.size() < 2) continue;
    const config::Pool* pool = config.find_pool(members_[same.front()].pool);
    for (const size_t i : same) members_[i].variant = members_[i].check == pool->check ? "" : members_[i].check;
  }
  for (Member& member : members_) {
    member.key = backend_key(member.pool, member.name, member.endpoint(), member.variant);
  }
}

std::vector<std::pair<const ServiceState*, size_t>> Model::ways() const {
  std::vector<std::pair<const ServiceState*, size_t>> out;
  out.reserve(services_.size() + routes_.size());
  for (const ServiceState& service : services_) out.emplace_back(&service, service.placement);
  for (const RouteState& route : routes_)
    out.emplace_back(&*std::ranges::find(services_, route.service, &ServiceState::key), route.placement);
  return out;
}

void Model::name_needs() {
  for (const auto& [service, placement] : ways()) {
    const config::Forwarding forwarding = service->config.forwarding;
    for (const size_t i : placements_[placement].members) {
      members_[i].needs_link |= forwarding == config::Forwarding::kDsr;
      members_[i].needs_local |= forwarding == config::Forwarding::kFullnat ||
                                 forwarding == config::Forwarding::kIpip || forwarding == config::Forwarding::kGue;
    }
  }
}

void Model::name_sole_services() {
  std::map<std::pair<std::array<uint8_t, 16>, uint16_t>, uint64_t> by_endpoint;  // 0: several
  const auto endpoint_of = [](const Member& member) { return std::pair{to_wire(member.address).bytes, member.port}; };
  for (const auto& [service, placement] : ways()) {
    for (const size_t i : placements_[placement].members) {
      const auto [it, first] = by_endpoint.emplace(endpoint_of(members_[i]), service->key);
      if (!first && it->second != service->key) it->second = 0;
    }
  }
  for (Member& member : members_) member.sole_service = by_endpoint[endpoint_of(member)];
}

size_t Model::add_placement(const config::Config& config, const config::Service& service, const config::Pool& pool) {
  const std::string& check = check_of(service, pool);
  Placement placement;
  placement.pool = pool.name;
  placement.port = service.port;
  placement.check = check;
  placement.table_size = service.table_size;
  placement.in_turn = service.scheduler == config::Scheduler::kWrr;
  for (size_t i = 0; i < placements_.size(); i++) {
    const Placement& known = placements_[i];
    if (known.is_like(placement) && known.check == check) return i;
  }
  placement.min_healthy = pool.min_healthy;
  placement.slow_start = pool.slow_start;
  placement.tier_hold = pool.tier_hold;
  placement.zone_headroom = pool.zone_headroom;
  placement.observed = pool.passive.enabled;
  placement.since = journal_->now();
  const config::Check* known_check = config.find_check(check);
  for (const config::Backend& backend : pool.backends) {
    placement.members.push_back(add_member(service, pool, backend, check));
    if (known_check != nullptr) members_[placement.members.back()].soft_weight = known_check->soft_weight;
  }
  placements_.push_back(std::move(placement));
  return placements_.size() - 1;
}

size_t Model::add_member(const config::Service& service, const config::Pool& pool, const config::Backend& backend,
                         const std::string& check) {
  const uint16_t port = backend.port.value_or(service.port);
  std::vector<size_t>& same = members_by_endpoint_[fmt::format("{}/{}:{}", pool.name, backend.name, port)];
  for (const size_t i : same) {
    if (members_[i].check == check) return i;
  }
  Member member;
  member.pool = pool.name;
  member.name = backend.name;
  member.address = backend.address;
  member.port = port;
  member.check = check;
  member.weight = backend.weight;
  member.max_connections = backend.max_connections;
  member.warm_up_plan = backend.warm_up;
  member.tier_number = backend.tier;
  member.origin = backend.origin;
  member.zone = backend.zone;
  member.is_elsewhere = !own_zone_.empty() && !backend.zone.empty() && backend.zone != own_zone_;
  member.since = journal_->now();
  if (check.empty()) {
    member.health = Health::kUp;
    member.health_reason = "not checked";
  }
  same.push_back(members_.size());
  members_.push_back(std::move(member));
  return members_.size() - 1;
}

}  // namespace sluice::control
