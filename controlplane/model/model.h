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
#include <utility>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/kernel/local_addresses.h"
#include "controlplane/model/desired.h"
#include "controlplane/model/in_use.h"
#include "controlplane/model/member.h"
#include "controlplane/model/removal.h"
#include "controlplane/weights/tier.h"
#include "controlplane/weights/zone.h"
#include "dataplane/contract/segment.h"

namespace sluice::control {

/// Why members of a pool go on although they fail, and what would end it.
struct PoolPanic {
  std::string why;                  // "3 of 3 backends fail at once"
  std::string end;                  // "ends at ... "
  std::optional<SystemTime> until;  // what is proven dead is cut then; nothing: not by time
  SystemTime since;
};

/// News of a member, and what it may do. What is nothing has not changed.
struct Judgement {
  struct Found {
    Health health = Health::kUnknown;
    std::string reason;
  };
  std::optional<Found> found;
  std::optional<Reachability> next_hop;
  Standing standing = Standing::kGood;
  std::string why;  // of the standing
};

/// How new flows of some services are placed: one table over a pool's members on a port under a check.
struct Placement {
  std::string pool;
  uint16_t port = 0;  // the services'; a member may have its own
  std::string check;  // "" = none
  uint32_t table_size = 0;
  uint32_t min_healthy = 0;
  std::chrono::milliseconds slow_start{0};
  std::chrono::milliseconds tier_hold{0};
  double zone_headroom = 1;
  bool observed = true;         // the data plane watches its dialogues
  std::vector<size_t> members;  // index into Model::members()

  TierChoice tiers;
  bool tier_is_provisional = false;  // when it was chosen, a lower one had not been checked yet
  std::string certificate_fault;     // members show different certificates for one name, in words; "" = they agree
  std::string starttls_fault;        // some members offer STARTTLS and others do not, in words; "" = they are alike

  std::shared_ptr<const Table> table = std::make_shared<const Table>();
  bool in_turn = false;                 // scheduler wrr: the table is a sequence of turns, not for hashing
  uint32_t total_weight = 0;            // of the members in the table, as workers take weights
  std::vector<uint32_t> table_weights;  // that the table was built from
  std::optional<PoolPanic> panic;       // members fail and go on as before
  bool is_judged = false;               // whether it is in service is known
  bool in_service = false;
  std::string reason = "not started yet";  // of in_service
  SystemTime since;                        // of in_service

  /// "mta:25", with the check if there is one: "mta:25 (relay)".
  std::string label() const;
  /// Whether the other places the same pool on the same port in the same way, under whatever check.
  bool is_like(const Placement& other) const;
};

inline constexpr size_t kNoPlacement = SIZE_MAX;

struct ServiceState {
  config::Service config;
  size_t placement = 0;  // index into Model::placements()
  uint64_t key = 0;
};

/// One of sources.routes.
struct RouteState {
  config::Route config;
  uint64_t service = 0;  // its key
  size_t placement = 0;
  std::shared_ptr<const SourceList> sources;  // never null
};

/// A service that left the file while flows of it were open. Of its configuration only the names and the VIP hold, and
/// it has no placement.
struct RemovedService : ServiceState {
  Removal removal;
};

/// Of an earlier model what another process may take over.
struct Remembered {
  std::vector<Member> members;  // those that were removed last
  std::vector<ServiceState> services;
  std::vector<RemovedService> removed_services;
  std::unordered_map<std::string, RemovalRule> removal_rules;  // by pool
  std::vector<LocalAddress> local_addresses;                   // sorted
};

class Model {
 public:
  /// `placement_secret`: the site's, by which clients are placed; 0 = none.
  Model(const config::Config& config, Journal& journal, uint64_t placement_secret = 0);
  /// One to take over from, and for nothing else: it has no placements.
  Model(Remembered before, Journal& journal);

  /// Those that left the file and still have open flows come last: they are in no placement.
  const std::vector<Member>& members() const { return members_; }
  const std::vector<Placement>& placements() const { return placements_; }
  const std::vector<ServiceState>& services() const { return services_; }
  const std::vector<RouteState>& routes() const { return routes_; }
  /// The placement of a client's new flows in a service, and the route that leads there; null if it is the service's.
  std::pair<const Placement*, const RouteState*> way_of(const ServiceState& service,
                                                        const config::IpAddress& client) const;
  const std::vector<LocalAddress>& local_addresses() const { return local_addresses_; }
  const std::vector<BoundPort>& ports() const { return ports_; }

  const std::vector<RemovedService>& removed_services() const { return removed_services_; }
  const std::unordered_map<std::string, RemovalRule>& removal_rules() const { return removal_rules_; }

  /// Goes on where `before`, the model of an earlier configuration, stands: members keep what is known of them,
  /// addresses their next hops, placements their tables. Call before the first `refresh()`. Changes nothing in
  /// `before`. A member goes on with the flows of one before that has its address and port, whatever either is called
  /// (take_over.cc); what nothing goes on with is removed, as its pool's `on_removal` says.
  void take_over(const Model& before);

  /// Of the first data plane that connects, before `meet()`: goes on with what it has `there` and no file names, nor
  /// anybody has `given_up` (keys that an earlier model had). A member takes the key that its address and port have
  /// there; what is nobody's is removed, and drains. Whether anything has changed; then members after the file's have
  /// come.
  bool recognise(const InUse& there, const std::unordered_set<uint64_t>& given_up);

  /// Of a data plane that has just connected: what it knows by our keys is taken as healthy until its first verdict, so
  /// that a restart of control does not stop the mail. What was removed and is not there any more is forgotten, unless
  /// peers may tell of flows of it. Returns how many members it knows.
  size_t meet(const KnownKeys& known);

  /// Of what was removed: forgets what has had no flow for a while, and what is at its deadline, whose flows are cut by
  /// that. With peers, whose flows may come here, everything stays to its deadline. To be called every second or so,
  /// while the data plane has applied everything. Whether anything was forgotten: then members after the file's have
  /// other indices.
  bool end_removals(const FlowCounts& flows);
  /// The clock was set: holds of tiers, slow starts and drains of what was removed go on as before.
  void move_times(SystemTime::duration by);

  /// Forgets what was removed and has no flow now, so that there are ids for others; not with peers.
  void forget_idle_removals(const FlowCounts& flows);
  /// Why the data plane has not got enough ids for all of this; "" if it has.
  std::string id_fault() const;

  // Facts, by index of the member. Each records a change of state in the journal, and returns whether the data
  // plane has to hear of it: then `refresh()`.
  bool set_health(size_t member, Health health, std::string reason);
  bool set_next_hop(size_t member, Reachability next_hop);
  /// Both of these as one, with what the rules about evidence and panic make of it.
  bool judge(size_t member, Judgement judgement);
  /// "" = its checks can be run (again). For operators alone.
  void set_not_run(size_t member, std::string reason);
  /// Of a placement; nothing: it goes by what is found out. For operators, and for `in_service`.
  void set_panic(size_t placement, std::optional<PoolPanic> panic);
  /// Of all members: what addresses we have towards backends.
  bool set_local_addresses(std::vector<LocalAddress> addresses);
  /// Of all members: what may be sent through our ports.
  bool set_ports(std::vector<BoundPort> ports);
  bool set_admin(size_t member, Admin admin, std::string reason = "by hand");
  /// Whether sessions of a member that drains are told 421 between messages.
  bool set_leaving(size_t member, bool leaving);
  /// Likewise those of all members, as the node drains.
  bool set_node_leaving(bool leaving);
  /// Likewise those of what was removed, where it is time. To be called every second or so.
  bool tell_removed();
  /// Stands in for the configured weight; nothing: the configured one again.
  bool set_weight_by_hand(size_t member, std::optional<uint32_t> weight);
  /// One of the member's factors that are decided elsewhere: `set_factor(i, &Member::agent, {0.5, "agent: 50%"})`.
  bool set_factor(size_t member, Factor Member::* which, Factor factor);
  /// How many connections each has open: whether its zone is short of them. Returns whether anything has changed.
  bool note_fullness(const FlowCounts& flows);
  /// What the agent says of the limit of connections; nothing: the configured one again.
  bool set_agent_max_connections(size_t member, std::optional<uint32_t> limit);

  /// What a check found under TLS, by which the pool's members are held against each other: a TLSA record of DANE
  /// matches one certificate or key only. `server_name` is the name that was asked for.
  void set_certificate(size_t member, const health::Verdict& verdict, const std::string& server_name);

  /// What a check by STARTTLS found of it, by which the pool's members are held against each other.
  void set_starttls(size_t member, const health::Verdict& verdict);

  /// Builds the tables that are out of date and decides which pools are in service.
  void refresh();
  /// When `refresh()` has something to do though no fact has changed: the next step of a slow start or of a tier.
  std::optional<SystemTime> next_step() const { return next_step_; }

  /// What the data plane should know, as of the last refresh.
  Desired desired() const;

  /// Another number as soon as members, placements or services are others than before: what refers to them is no
  /// longer good. No two models have the same.
  uint64_t composition() const { return composition_; }

  /// Whether every member has a verdict, and a next hop if the verdict is good: nothing is gained by waiting.
  bool is_settled() const;

 private:
  size_t add_member(const config::Service& service, const config::Pool& pool, const config::Backend& backend,
                    const std::string& check);
  size_t add_placement(const config::Config& config, const config::Service& service, const config::Pool& pool);
  void take_over(Placement& placement, const Placement& earlier, const Model& before) const;
  const Placement* earlier_of(size_t placement, const Model& before) const;
  void take_over_services(const Model& before);
  void remove(const Member& member, const Model& before);
  bool take_keys(const InUse& there, std::unordered_set<uint64_t>& known);
  /// How what the data plane has of an earlier process is removed; `pool`: where it probably was.
  Removal removal_of_unknown(const std::string& pool) const;
  /// `number`: of those at its address and port that were removed.
  void leave_over(const InUse::Backend& backend, size_t number);
  void leave_over(const InUse::Service& service);
  bool speak_from(const std::vector<LocalAddress>& addresses);
  /// How what `pool` loses is removed: as the file says, or else as `before` did. Nothing: at once.
  std::optional<Removal> removal_of(const std::string& pool, std::optional<Removal> earlier, const Model& before,
                                    SystemTime now) const;
  void add_routes(const config::Config& config);
  /// Each service with each placement that its flows may go by.
  std::vector<std::pair<const ServiceState*, size_t>> ways() const;
  void name_variants(const config::Config& config);
  void make_keys_unique(const std::vector<std::optional<size_t>>& matched);
  /// Finds out, for every member, whether one service alone forwards to its endpoint.
  void name_sole_services();
  /// Finds out, for every member, what the forwarding of its services needs.
  void name_needs();
  bool has_local(const Member& member) const;
  BoundPort port_out(const Member& member) const;
  void take_next_hop(Member& member, Reachability next_hop) const;
  void refresh(Placement& placement);
  void choose_tier(Placement& placement);
  /// How much members in other zones take.
  void prefer_own_zone(Placement& placement);
  void ease_in(Placement& placement);
  void step_due(SystemTime time);
  void compare_certificates(Placement& placement, const std::string& server_name);
  void compare_starttls(Placement& placement);
  void judge(Placement& placement);
  template <typename Change>
  bool change(size_t member, Change change);

  static uint64_t new_composition();

  Journal* journal_;  // never null
  uint64_t placement_secret_ = 0;
  uint64_t composition_ = new_composition();
  std::string own_zone_;
  bool node_leaving_ = false;
  bool has_peers_ = false;
  std::vector<Member> members_;
  std::unordered_map<std::string, std::vector<size_t>> members_by_endpoint_;  // pool, name, port: one per check
  std::vector<Placement> placements_;
  std::vector<ServiceState> services_;
  std::vector<RouteState> routes_;
  std::vector<RemovedService> removed_services_;
  std::unordered_map<std::string, RemovalRule> removal_rules_;  // by pool of the file
  std::vector<LocalAddress> local_addresses_;
  std::vector<BoundPort> ports_;
  std::optional<SystemTime> next_step_;
};

/// What tables take of the channel's memory. A quarter of it stays free: each table needs a second place while workers
/// move from the old one to the new one, and where all change, they do so some at a time.
struct TableMemory {
  size_t bytes = 0;
  size_t most = channel::kArenaBytes / 4 * 3;
};

TableMemory table_memory(const Model& model);
TableMemory table_memory(const config::Config& config);

/// "": the tables fit into the channel's memory. Otherwise what to change, in words.
std::string table_memory_fault(const TableMemory& memory);

}  // namespace sluice::control
