// SPDX-License-Identifier: Apache-2.0
//
// The API's routes and what they look at. One api_*.cc for each topic, with a function here that adds its routes;
// handlers run on the event loop and must not block. Whoever changes the model says so by `changed`.
#pragma once

#include <functional>
#include <string>

#include "config/model.h"
#include "controlplane/channel_client.h"
#include "controlplane/journal.h"
#include "controlplane/model.h"
#include "controlplane/router.h"

namespace sluice::health {
class Prober;
}

namespace sluice::control {

class History;

/// State of the connection to the data plane, as the operator sees it.
struct DataplaneState {
  bool connected = false;
  std::string reason = "not connected yet";
  SystemTime since{};
};

/// Control's parts, for handlers. Everything outlives the router.
struct ApiContext {
  const config::Config& config;
  Model& model;
  const ChannelClient& channel;
  Journal& journal;
  const DataplaneState& dataplane;
  SystemTime started{};
  const History* history = nullptr;    // null in tests of what needs none
  health::Prober* prober = nullptr;    // null in tests of what needs none
  std::function<void()> changed = {};  // a fact in the model has changed: to be published
};

/// All of them. `context` outlives the router.
void add_api(Router& router, const ApiContext& context);

/// /api/v1/status
void add_status_routes(Router& router, const ApiContext& context);
/// /api/v1/services, /pools, /backends, each also by name
void add_view_routes(Router& router, const ApiContext& context);
/// /api/v1/history
void add_history_routes(Router& router, const ApiContext& context);
/// /healthz, /readyz, /api/v1/openapi.json
void add_service_routes(Router& router, const ApiContext& context);
/// /api/v1/events
void add_event_routes(Router& router, const ApiContext& context);
/// /metrics
void add_metrics_routes(Router& router, const ApiContext& context);

}  // namespace sluice::control
