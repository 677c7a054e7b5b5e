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
#include "controlplane/kernel/next_hop.h"
#include "controlplane/model/admin.h"
#include "controlplane/model/panic.h"
#include "controlplane/model/ports.h"
#include "controlplane/model/removal.h"
#include "controlplane/weights/fullness.h"
#include "controlplane/weights/weight.h"
#include "dataplane/contract/address.h"
#include "healthcheck/rise_fall.h"
#include "healthcheck/verdict.h"

namespace sluice::control {

using health::Health;  // as the checks say; panic.h what follows

/// What the configuration says of a member: what a reload may change.
struct MemberSettings {
  std::string pool;
  std::string name;
  config::IpAddress address;
  uint16_t port = 0;
  std::string check;             // name of the check; "" = none
  std::string variant;           // the check's name if the same backend and port is also under the pool's own
  uint32_t weight = 0;           // configured
  uint32_t max_connections = 0;  // 0 = no limit
  uint64_t key = 0;              // desired.h
  uint64_t sole_service = 0;     // desired.h
  bool needs_link = false;       // dsr: the backend has to be on our link
  bool needs_local = false;      // fullnat, tunnels: we have to have an address towards it
  std::optional<config::WarmUp> warm_up_plan;
  uint32_t tier_number = 0;  // in its pool
  config::Origin origin = config::Origin::kFile;
  bool is_elsewhere = false;  // in another zone than this node
  std::string zone;
  double soft_weight = 1;  // factor while its health is soft
};

/// The rest is what is known of it: what a reload keeps.
struct Member : MemberSettings {
  Admin admin = Admin::kEnabled;
  std::string admin_reason;  // why it is not enabled
  Health health = Health::kUnknown;
  std::string health_reason = "not checked yet";
  bool presumed_up = false;  // while unknown: the data plane was already using it
  Reachability next_hop = std::unexpected("not resolved yet");
  std::optional<NextHop> last_way;  // the last next hop it had
  BoundPort port_out;               // that with its twin
  Standing standing = Standing::kGood;
  std::string standing_why;        // why it goes on although it fails, and until when
  Health last_good = Health::kUp;  // what it is while held: up or soft
  std::string not_run;             // why its checks cannot be run, several times in a row; "" = they are
  bool has_local = false;          // there is an address of ours of its family behind its next hop's port
  SystemTime since;                // when `state()` last changed
  std::optional<Removal> removal;  // it left the file
  bool leaving = false;            // it drains, and its sessions are told so (leaving.h)

  // What others make of its weight (weight.h).
  std::optional<uint32_t> weight_by_hand;
  Factor warm_up;
  Factor slow_start;
  Factor passive;
  Factor agent;
  Factor tier;
  Factor zone_factor;
  std::optional<uint32_t> agent_max_connections;  // stands in for max_connections
  Fullness fullness;                              // of most_connections()
  bool was_out = false;                           // it could not take traffic, but for the time before it first could
  std::optional<SystemTime> recovering_since;     // for slow start

  std::optional<health::Certificate> certificate;  // that the last check under TLS was shown
  bool certificate_expiring = false;               // as the check sees it
  std::optional<bool> offers_starttls;             // as the last check by STARTTLS saw it, that came so far

  /// Goes on with what is known of `before`, the same member under earlier settings. Under another check its health is
  /// presumed to be what it was until the first verdict.
  void take_over(const Member& before);

  /// "mta/mta1:25", with the variant if there is one; of one that was removed with its address. Unique in a model.
  std::string label() const;
  Endpoint endpoint() const;
  WeightFactors factors() const;
  /// The weight as it is but for tier, zone and slow start, which follow from it.
  double own_weight() const;
  /// Open at once; 0 = no limit.
  uint32_t most_connections() const;
  /// Every factor with its name and reason, in the order of `WeightFactors`.
  std::vector<NamedFactor> explained_factors() const;
  /// Up, soft, presumed to be up until the first verdict, or held.
  bool is_healthy() const;
  /// Its health as far as it counts: while it is held, the last good one.
  Health health_that_counts() const { return standing == Standing::kHeld ? last_good : health; }
  /// The next hop, if the forwarding of its services can use it; while it is held, the last one it had.
  Reachability way() const;
  /// Whether there is one, for those who do not ask why.
  bool has_way() const { return way_fault() == WayFault::kNone; }
  /// The next hop that packets take: while it is held, its last one; null if there is none.
  const NextHop* hop() const;
  /// Whether it can take traffic: enabled, healthy, reachable, and its agent has nothing against it.
  bool is_usable() const;
  /// "up", "soft", "checking" (no verdict yet), "held" (it fails, and goes on as before), "down", "unreachable",
  /// "draining", "disabled" or "removed, draining": what stands out most.
  std::string_view state() const;
  /// Why it is in that state.
  std::string reason() const;

 private:
  enum class WayFault : uint8_t { kNone, kNoNextHop, kPort, kGateway, kNoLocal };
  WayFault way_fault() const;
};

Address to_wire(const config::IpAddress& address);

}  // namespace sluice::control
