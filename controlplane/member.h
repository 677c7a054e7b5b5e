// SPDX-License-Identifier: Apache-2.0
//
// A member: a pool's backend on one port under one check, with all that is known of it. To the data plane each member
// is a backend of its own. What the operator wants (Admin), what the checks found (Health) and whether packets can get
// there (NextHop) are kept apart; how much traffic follows from them is computed in `effective_weight` (weight.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "controlplane/weight.h"
#include "dataplane/contract/address.h"
#include "healthcheck/verdict.h"

namespace sluice::control {

using SystemTime = std::chrono::system_clock::time_point;

/// What the operator wants, the stricter the greater. Draining: no new flows. Disabled: and those that are open are
/// cut.
enum class Admin : uint8_t { kEnabled, kDraining, kDisabled };
enum class Health : uint8_t { kUnknown, kUp, kSoft, kDown };

/// "enabled", "draining", "disabled".
std::string_view name_of(Admin admin);
/// "unknown", "up", "soft", "down".
std::string_view name_of(Health health);

/// Where packets for a backend go: out of a port, to a MAC address.
struct NextHop {
  MacAddress mac;
  uint8_t port_index = 0;
  uint16_t vlan = 0;
  bool via_gateway = false;  // the MAC address is not the backend's own
  friend bool operator==(const NextHop&, const NextHop&) = default;
};

/// A next hop, or in words why there is none.
using Reachability = std::expected<NextHop, std::string>;

/// What the configuration says of a member: what a reload may change.
struct MemberSettings {
  std::string pool;
  std::string name;
  config::IpAddress address;
  uint16_t port = 0;
  std::string check;             // name of the check; "" = none
  std::string variant;           // the check's name if the same backend and port is also under an earlier check
  uint32_t weight = 0;           // configured
  uint32_t max_connections = 0;  // 0 = no limit
  uint64_t key = 0;              // desired.h
  uint64_t sole_service = 0;     // desired.h
  bool needs_link = false;       // dsr: the backend has to be on our link
  bool needs_local = false;      // fullnat, tunnels: we have to have an address towards it
  std::optional<config::WarmUp> warm_up_plan;
  uint32_t tier_number = 0;  // in its pool
  double soft_weight = 1;    // factor while its health is soft
};

/// The rest is what is known of it: what a reload keeps.
struct Member : MemberSettings {
  Admin admin = Admin::kEnabled;
  std::string admin_reason;  // why it is not enabled
  Health health = Health::kUnknown;
  std::string health_reason = "not checked yet";
  bool presumed_up = false;  // while unknown: the data plane was already using it
  Reachability next_hop = std::unexpected("not resolved yet");
  bool has_local = false;  // there is an address of ours of its family behind its next hop's port
  SystemTime since;        // when `state()` last changed

  // What others make of its weight (weight.h).
  std::optional<uint32_t> weight_by_hand;
  Factor warm_up;
  Factor slow_start;
  Factor passive;
  Factor agent;
  Factor tier;
  std::optional<uint32_t> agent_max_connections;  // stands in for max_connections
  bool was_out = false;                           // it could not take traffic, but for the time before it first could
  std::optional<SystemTime> recovering_since;     // for slow start

  std::optional<health::Certificate> certificate;  // that the last check under TLS was shown
  bool certificate_expiring = false;               // as the check sees it

  /// Goes on with what is known of `before`, the same member under earlier settings. Under another check its health is
  /// presumed to be what it was until the first verdict.
  void take_over(const Member& before);

  /// "mta/mta1:25", with the variant if there is one.
  std::string label() const;
  WeightFactors factors() const;
  /// Every factor with its name and reason, in the order of `WeightFactors`.
  std::vector<NamedFactor> explained_factors() const;
  /// Up, soft, or presumed to be up until the first verdict.
  bool is_healthy() const;
  /// The next hop, if the forwarding of its services can use it.
  Reachability way() const;
  /// Whether it can take traffic: enabled, healthy, reachable, and its agent has nothing against it.
  bool is_usable() const;
  /// "up", "soft", "checking" (no verdict yet), "down", "unreachable", "draining" or "disabled": what stands out most.
  std::string_view state() const;
  /// Why it is in that state.
  std::string reason() const;
};

Address to_wire(const config::IpAddress& address);

}  // namespace sluice::control
