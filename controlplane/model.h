// SPDX-License-Identifier: Apache-2.0
//
// The state of the balancer as control sees it: members with their health and next hops, the tables that follow, and
// the desired state of the data plane. Pure apart from the journal: facts come in, `desired()` comes out.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/model.h"
#include "controlplane/desired.h"
#include "controlplane/journal.h"
#include "controlplane/local_addresses.h"
#include "controlplane/member.h"
#include "controlplane/tier.h"

namespace sluice::control {

/// How new flows of some services are placed: one table over a pool's members on a port under a check.
struct Placement {
  std::string pool;
  uint16_t port = 0;  // the services'; a member may have its own
  std::string check;  // "" = none
  uint32_t table_size = 0;
  uint32_t min_healthy = 0;
  std::chrono::milliseconds slow_start{0};
  std::chrono::milliseconds tier_hold{0};
  bool observed = true;         // the data plane watches its dialogues
  std::vector<size_t> members;  // index into Model::members()

  TierChoice tiers;
  bool tier_is_provisional = false;  // when it was chosen, a lower one had not been checked yet
  std::string certificate_fault;     // members show different certificates for one name, in words; "" = they agree

  std::shared_ptr<const Table> table = std::make_shared<const Table>();
  bool in_turn = false;                 // scheduler wrr: the table is a sequence of turns, not for hashing
  uint32_t total_weight = 0;            // of the members in the table, as workers take weights
  std::vector<uint32_t> table_weights;  // that the table was built from
  bool in_service = false;
  std::string reason = "not started yet";  // of in_service
  SystemTime since;                        // of in_service

  /// "mta:25", with the check if there is one: "mta:25 (relay)".
  std::string label() const;
  /// Whether the other places the same pool on the same port in the same way, under whatever check.
  bool is_like(const Placement& other) const;
};

struct ServiceState {
  config::Service config;
  size_t placement = 0;  // index into Model::placements()
  uint64_t key = 0;
};

class Model {
 public:
  Model(const config::Config& config, Journal& journal);

  const std::vector<Member>& members() const { return members_; }
  const std::vector<Placement>& placements() const { return placements_; }
  const std::vector<ServiceState>& services() const { return services_; }
  const std::vector<LocalAddress>& local_addresses() const { return local_addresses_; }

  /// Goes on where `before`, the model of an earlier configuration, stands: members keep what is known of them,
  /// addresses their next hops, placements their tables. Call before the first `refresh()`. Changes nothing in
  /// `before`.
  void take_over(const Model& before);

  // Facts, by index of the member. Each records a change of state in the journal, and returns whether the data
  // plane has to hear of it: then `refresh()`.
  bool set_health(size_t member, Health health, std::string reason);
  bool set_next_hop(size_t member, Reachability next_hop);
  /// Of all members: what addresses we have towards backends.
  bool set_local_addresses(std::vector<LocalAddress> addresses);
  bool set_admin(size_t member, Admin admin, std::string reason = "by hand");
  /// Stands in for the configured weight; nothing: the configured one again.
  bool set_weight_by_hand(size_t member, std::optional<uint32_t> weight);
  /// One of the member's factors that are decided elsewhere: `set_factor(i, &Member::agent, {0.5, "agent: 50%"})`.
  bool set_factor(size_t member, Factor Member::* which, Factor factor);
  /// What the agent says of the limit of connections; nothing: the configured one again.
  bool set_agent_max_connections(size_t member, std::optional<uint32_t> limit);

  /// What a check found under TLS, by which the pool's members are held against each other: a TLSA record of DANE
  /// matches one certificate or key only. `server_name` is the name that was asked for.
  void set_certificate(size_t member, const health::Verdict& verdict, const std::string& server_name);

  /// The data plane knew backends with these keys before it knew us: they are taken as healthy until their first
  /// verdict, so that a restart of control does not stop the mail. Returns how many of ours are among them.
  size_t presume(const std::unordered_set<uint64_t>& keys);

  /// Builds the tables that are out of date and decides which pools are in service.
  void refresh();
  /// When `refresh()` has something to do though no fact has changed: the next step of a slow start or of a tier.
  std::optional<SystemTime> next_step() const { return next_step_; }

  /// What the data plane should know, as of the last refresh.
  Desired desired() const;

  /// Whether every member has a verdict, and a next hop if the verdict is good: nothing is gained by waiting.
  bool is_settled() const;

 private:
  size_t add_member(const config::Service& service, const config::Pool& pool, const config::Backend& backend,
                    const std::string& check);
  size_t add_placement(const config::Config& config, const config::Service& service, const config::Pool& pool);
  void take_over(Placement& placement, const Placement& earlier, const Model& before) const;
  /// Finds out, for every member, whether one service alone forwards to its endpoint.
  void name_sole_services();
  /// Finds out, for every member, what the forwarding of its services needs.
  void name_needs();
  bool has_local(const Member& member) const;
  void refresh(Placement& placement);
  void choose_tier(Placement& placement);
  void ease_in(Placement& placement);
  void step_due(SystemTime time);
  void compare_certificates(Placement& placement, const std::string& server_name);
  void judge(Placement& placement);
  template <typename Change>
  bool change(size_t member, Change change);

  Journal* journal_;  // never null
  std::vector<Member> members_;
  std::unordered_map<std::string, std::vector<size_t>> members_by_endpoint_;  // pool, name, port: one per check
  std::vector<Placement> placements_;
  std::vector<ServiceState> services_;
  std::vector<LocalAddress> local_addresses_;
  std::optional<SystemTime> next_step_;
};

/// "": the tables of this configuration fit into the channel's memory. Otherwise what to change, in words.
std::string table_memory_fault(const config::Config& config);

}  // namespace sluice::control
