// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/for_workers.h"

#include <algorithm>
#include <cmath>

#include "dataplane/contract/segment.h"

namespace sluice::control {

namespace {

constexpr double kTableWeightScale = 256;  // so that small fractions of small weights still differ

}  // namespace

uint32_t table_weight(double effective) {
  if (effective <= 0) return 0;
  return static_cast<uint32_t>(std::max(1.0, std::round(effective * kTableWeightScale)));
}

uint16_t message_weight(double effective) {
  if (effective <= 0) return 0;
  return static_cast<uint16_t>(std::clamp(std::round(effective), 1.0, 65535.0));
}

DesiredBackend desired_backend(const Member& member) {
  DesiredBackend out;
  out.key = member.key;
  out.address = to_wire(member.address);
  out.port = Be16::of(member.port);
  // Not `way()`: flows that were opened under another forwarding go on, and new ones go by the table. But a gateway
  // would send packets for a VIP back to us.
  const NextHop* hop = member.hop();
  if (hop != nullptr && member.port_out.index && !(member.needs_link && hop->via_gateway)) {
    out.next_hop = hop->mac;
    out.vlan = member.port_out.vlan;
    out.port_index = *member.port_out.index;
    out.flags |= channel::kBackendReachable;
  }
  if (member.standing == Standing::kDead) out.flags |= channel::kBackendDown;
  if (member.admin == Admin::kDisabled) out.flags |= channel::kBackendCut;
  if (member.leaving) out.flags |= channel::kBackendLeaving;
  out.weight = message_weight(effective_weight(member.factors()));
  out.sole_service = member.sole_service;
  out.max_connections = member.most_connections();
  return out;
}

DesiredService desired_service(const ServiceState& state, const Placement& placement) {
  const config::Service& service = state.config;
  DesiredService out;
  out.key = state.key;
  out.vip = {to_wire(service.vip), Be16::of(service.port)};
  // The channel's enumerations have the order of the configuration's; model_test holds them together.
  out.forwarding = static_cast<channel::Forwarding>(service.forwarding);
  out.scheduler = static_cast<channel::Scheduler>(service.scheduler);
  out.hash_on = static_cast<channel::HashOn>(service.hash_on);
  out.proxy = static_cast<channel::ProxyHeader>(service.proxy);
  out.on_backend_down = static_cast<channel::OnBackendDown>(service.on_backend_down);
  out.on_no_backend = static_cast<channel::OnNoBackend>(service.on_no_backend);
  out.syn_proxy = static_cast<channel::SynProxy>(service.syn_proxy);
  out.refusal = service.text_421;
  if (!placement.observed) out.flags |= channel::kServiceUnobserved;
  out.mss = service.mss;
  out.idle_timeout_ms = service.idle_timeout.value_or(0) * 1000;
  out.total_weight = placement.total_weight;
  out.table = placement.table;
  return out;
}

}  // namespace sluice::control
