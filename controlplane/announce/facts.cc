// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace sluice::control {

namespace {

bool leads_out(const config::Port& port, const std::vector<BoundPort>& bound) {
  const auto found = std::ranges::find(bound, port.name, &BoundPort::name);
  return found != bound.end() && found->index && found->link_up;
}

std::string side_fault(const std::vector<config::Port>& ports, const std::vector<BoundPort>& bound,
                       config::Faces other_side, std::string_view whom) {
  std::string names;
  for (const config::Port& port : ports) {
    if (port.faces == other_side) continue;
    if (leads_out(port, bound)) return "";
    names += (names.empty() ? "" : ", ") + port.name;
  }
  return fmt::format("no link towards {}: port {}", whom, names);
}

/// What is known so far of one VIP.
struct Tally {
  size_t services = 0;
  size_t in_service = 0;
  size_t awaited = 0;  // not in service, but some of its backends have not been checked yet
  std::string first_fault;
};

bool is_awaited(const Model& model, const Placement& placement) {
  return std::ranges::any_of(placement.members, [&](size_t i) {
    const Member& member = model.members()[i];
    return member.admin == Admin::kEnabled && member.health == Health::kUnknown && !member.is_healthy();
  });
}

VipFacts judge(const config::IpAddress& vip, const Tally& tally, config::Require require) {
  const bool is_any = require == config::Require::kAny;
  const bool enough = is_any ? tally.in_service > 0 : tally.in_service == tally.services;
  const bool may_be = is_any ? tally.awaited > 0 : tally.in_service + tally.awaited == tally.services;
  return {.vip = vip, .in_service = enough, .reason = enough ? "" : tally.first_fault, .is_known = enough || !may_be};
}

}  // namespace

std::string port_fault(const std::vector<config::Port>& ports, const std::vector<BoundPort>& bound) {
  const std::string clients = side_fault(ports, bound, config::Faces::kBackends, "clients");
  return clients.empty() ? side_fault(ports, bound, config::Faces::kClients, "mail servers") : clients;
}

std::vector<VipFacts> vip_facts(const Model& model, config::Require require) {
  std::map<config::IpAddress, Tally> tallies;
  for (const ServiceState& service : model.services()) {
    const Placement& placement = model.placements()[service.placement];
    Tally& tally = tallies[service.config.vip];
    tally.services++;
    if (placement.in_service) {
      tally.in_service++;
      continue;
    }
    if (is_awaited(model, placement)) tally.awaited++;
    if (tally.first_fault.empty()) tally.first_fault = fmt::format("{}: {}", service.config.name, placement.reason);
  }
  std::vector<VipFacts> out;
  out.reserve(tallies.size());
  for (const auto& [vip, tally] : tallies) out.push_back(judge(vip, tally, require));
  std::map<config::IpAddress, VipFacts> leaving;
  for (const RemovedService& service : model.removed_services())
    if (!tallies.contains(service.config.vip))
      leaving.try_emplace(service.config.vip, VipFacts{.vip = service.config.vip, .reason = "", .leaving = true});
  for (auto& [vip, facts] : leaving) out.push_back(std::move(facts));
  std::ranges::sort(out, {}, &VipFacts::vip);
  return out;
}

}  // namespace sluice::control
