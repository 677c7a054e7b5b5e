// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/member.h"

#include <fmt/format.h>

#include "controlplane/model/leaving.h"

namespace sluice::control {

void Member::take_over(const Member& before) {
  const Member fresh = *this;
  *this = before;
  static_cast<MemberSettings&>(*this) = fresh;
  key = before.key;
  if (removal) leaving = false;
  removal.reset();
  if (check == before.check) return;
  health = fresh.health;
  health_reason = fresh.health_reason;
  presumed_up = before.is_healthy();
  offers_starttls.reset();
  if (certificate) certificate->chain.reset();  // shown under another name, perhaps
}

std::string Member::label() const {
  if (removal) {
    const std::string named =
        pool.empty() ? fmt::format("{}:{}", name, port) : fmt::format("{}/{}:{}", pool, name, port);
    return fmt::format("{} (removed: {}{}{})", named, address.to_string(), check.empty() ? "" : ", ", check);
  }
  return variant.empty() ? fmt::format("{}/{}:{}", pool, name, port)
                         : fmt::format("{}/{}:{} ({})", pool, name, port, variant);
}

Endpoint Member::endpoint() const {
  return {to_wire(address), Be16::of(port)};
}

WeightFactors Member::factors() const {
  WeightFactors out;
  out.configured = weight;
  out.by_hand = weight_by_hand;
  out.warm_up = warm_up.value;
  out.slow_start = slow_start.value;
  out.health = !is_healthy() ? 0 : health_that_counts() == Health::kSoft ? soft_weight : 1;
  out.passive = passive.value;
  out.agent = agent.value;
  out.tier = tier.value;
  out.zone = zone_factor.value;
  out.admin = admin == Admin::kEnabled && !removal ? 1 : 0;
  out.reachable = has_way() ? 1 : 0;
  return out;
}

double Member::own_weight() const {
  WeightFactors out = factors();
  out.tier = 1;
  out.zone = 1;
  out.slow_start = 1;
  return effective_weight(out);
}

uint32_t Member::most_connections() const {
  return agent_max_connections.value_or(max_connections);
}

std::vector<NamedFactor> Member::explained_factors() const {
  const WeightFactors values = factors();
  const Reachability found = way();
  return {
      {"warm_up", values.warm_up, warm_up.reason},
      {"slow_start", values.slow_start, slow_start.reason},
      {"health", values.health, health_reason},
      {"passive", values.passive, passive.reason},
      {"agent", values.agent, agent.reason},
      {"tier", values.tier, tier.reason},
      {"zone", values.zone, zone_factor.reason},
      {"admin", values.admin,
       removal                    ? "it left its pool"
       : admin == Admin::kEnabled ? ""
                                  : fmt::format("{} by hand", name_of(admin))},
      {"reachable", values.reachable, found ? "" : found.error()},
  };
}

const NextHop* Member::hop() const {
  if (next_hop) return &*next_hop;
  return standing == Standing::kHeld && last_way ? &*last_way : nullptr;
}

Member::WayFault Member::way_fault() const {
  const NextHop* to = hop();
  if (to == nullptr) return WayFault::kNoNextHop;
  if (!port_out.index) return WayFault::kPort;
  if (needs_link && to->via_gateway) return WayFault::kGateway;
  if (needs_local && !has_local) return WayFault::kNoLocal;
  return WayFault::kNone;
}

Reachability Member::way() const {
  switch (way_fault()) {
    case WayFault::kNone:
      return *hop();
    case WayFault::kNoNextHop:
      break;
    case WayFault::kPort:
      return std::unexpected(fmt::format("port {}: {}", port_out.name, port_out.fault));
    case WayFault::kGateway:
      return std::unexpected(
          fmt::format("{} is behind a gateway; forwarding = \"dsr\" needs it on our link", address.to_string()));
    case WayFault::kNoLocal:
      return std::unexpected(fmt::format("no {} address of ours on the twin through which {} is reached, to speak from",
                                         address.is_v4() ? "IPv4" : "IPv6", address.to_string()));
  }
  return next_hop;
}

bool Member::is_healthy() const {
  const Health counted = health_that_counts();
  return counted == Health::kUp || counted == Health::kSoft || (counted == Health::kUnknown && presumed_up);
}

bool Member::is_usable() const {
  return admin == Admin::kEnabled && !removal && factors().health > 0 && has_way() && agent.value > 0;
}

std::string_view Member::state() const {
  if (removal) return kRemovedState;
  if (admin != Admin::kEnabled) return name_of(admin);
  if (standing == Standing::kHeld) return "held";
  if (health == Health::kDown) return "down";
  if (!has_way()) return "unreachable";
  if (agent.value <= 0) return "draining";
  if (health == Health::kSoft) return "soft";
  return health == Health::kUp ? "up" : "checking";
}

std::string Member::reason() const {
  const std::string_view told = leaving ? kLeavingWords : "";
  if (removal) return fmt::format("{}{}", reason_of(*removal), told);
  if (admin != Admin::kEnabled) return fmt::format("{}{}", admin_reason, told);
  if (standing == Standing::kHeld) {
    const std::string& failing = next_hop || health == Health::kDown ? health_reason : next_hop.error();
    return fmt::format("{}; goes on as before: {}", failing, standing_why);
  }
  if (health == Health::kDown) return health_reason;
  if (const Reachability found = way(); !found) return found.error();
  return agent.value <= 0 ? agent.reason : health_reason;
}

Address to_wire(const config::IpAddress& address) {
  Address out;
  out.bytes = address.bytes;
  return out;
}

}  // namespace sluice::control
