// SPDX-License-Identifier: Apache-2.0
//
// The API's routes and what they look at. One api_*.cc for each topic, with a function here that adds its routes;
// handlers run on the event loop and must not block. Whoever changes the model says so by `changed`.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/changes/overrides.h"
#include "controlplane/changes/reload_plan.h"
#include "controlplane/channel/client.h"
#include "controlplane/http/long_answer.h"
#include "controlplane/http/router.h"
#include "controlplane/model/model.h"

namespace sluice::health {
class Prober;
}

namespace sluice::control {

class Announcer;
class History;
class FlowLister;
class InspectionSessions;
class SessionRecords;
class SourceTally;
struct RoutingFacts;
class Discovery;
class Fleet;
class MailSecurity;
class Sources;

/// State of the connection to the data plane, as the operator sees it.
struct DataplaneState {
  bool connected = false;
  std::string reason = "not connected yet";
  SystemTime since;
};

/// Where the configuration came from, and how the last attempt to read it again went.
struct ConfigurationState {
  std::string path;
  SystemTime loaded;                       // the one in use
  std::optional<SystemTime> last_attempt;  // to reload
  std::string fault;                       // of that; "" = it went well
};

using LoadedConfig = std::expected<config::Reading, std::vector<config::Fault>>;
/// What a reload changes, or everything that is wrong with the file.
using Reloaded = std::expected<ReloadPlan, std::vector<std::string>>;

/// Control's parts, for handlers. Everything outlives the router.
struct ApiContext {
  const config::Config& config;
  Model& model;
  const ChannelClient& channel;
  Journal& journal;
  const DataplaneState& dataplane;
  SystemTime started;
  const History* history = nullptr;  // null in tests of what needs none
  health::Prober* prober = nullptr;  // null in tests of what needs none
  std::function<void()> changed;     // a fact in the model has changed: to be published
  // Null and empty in tests of what needs none.
  const ConfigurationState* configuration = nullptr;
  Overrides* overrides = nullptr;
  std::function<Reloaded()> reload;
  std::function<Reloaded(const LoadedConfig&)> compare;
  FlowLister* flows = nullptr;                // null: flows cannot be listed
  InspectionSessions* inspections = nullptr;  // null: nothing can be traced or captured
  Sources* sources = nullptr;
  Discovery* discovery = nullptr;
  Fleet* fleet = nullptr;
  const MailSecurity* security = nullptr;
  Announcer* announcer = nullptr;
  SessionRecords* records = nullptr;
  const SourceTally* tally = nullptr;
  const RoutingFacts* routing = nullptr;
  const Turns* turns = nullptr;  // null: answers are made at once

  /// For answers about all backends or services there are.
  void answer_in_turns(const Turns::Begin& begin, const Reply& reply) const;
};

/// Of a member, how many of its flows ended with our 421 between messages, since the data plane has known it; nothing
/// while it does not say. `channel` outlives it.
std::function<std::optional<uint64_t>(const Member&)> told_by(const ChannelClient& channel);

/// All of them. `context` outlives the router.
void add_api(Router& router, const ApiContext& context);

/// /api/v1/status
void add_status_routes(Router& router, const ApiContext& context);
/// /api/v1/ports
void add_port_routes(Router& router, const ApiContext& context);
/// /api/v1/services, /pools, /backends, each also by name
void add_view_routes(Router& router, const ApiContext& context);
/// /api/v1/history
void add_history_routes(Router& router, const ApiContext& context);
/// /healthz, /readyz, /api/v1/openapi.json
void add_service_routes(Router& router, const ApiContext& context);
/// /api/v1/backends/{pool}/{name}/check
void add_check_routes(Router& router, const ApiContext& context);
/// /api/v1/events
void add_event_routes(Router& router, const ApiContext& context);
/// /metrics
void add_metrics_routes(Router& router, const ApiContext& context);
/// /api/v1/reload, /api/v1/diff
void add_reload_routes(Router& router, const ApiContext& context);
/// /api/v1/by-hand
void add_by_hand_routes(Router& router, const ApiContext& context);
/// /api/v1/blocked
void add_blocked_routes(Router& router, const ApiContext& context);
/// /api/v1/discovered
void add_discovered_routes(Router& router, const ApiContext& context);
/// /api/v1/fleet
void add_fleet_routes(Router& router, const ApiContext& context);
/// /api/v1/security
void add_security_routes(Router& router, const ApiContext& context);
/// /api/v1/limits
void add_limit_routes(Router& router, const ApiContext& context);
/// /api/v1/sources
void add_source_routes(Router& router, const ApiContext& context);
/// /api/v1/announce, /api/v1/node
void add_announce_routes(Router& router, const ApiContext& context);
/// /api/v1/peers
void add_peer_routes(Router& router, const ApiContext& context);
/// /api/v1/warm-up/BACKEND
void add_warm_up_routes(Router& router, const ApiContext& context);
/// /api/v1/explain
void add_explain_routes(Router& router, const ApiContext& context);
/// /api/v1/flows
void add_flow_routes(Router& router, const ApiContext& context);
/// /api/v1/sessions
void add_session_routes(Router& router, const ApiContext& context);
/// /api/v1/traces, /api/v1/captures
void add_inspection_routes(Router& router, const ApiContext& context);

}  // namespace sluice::control
