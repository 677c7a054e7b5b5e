// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/api.h"

namespace sluice::control {

void ApiContext::answer_in_turns(const Turns::Begin& begin, const Reply& reply) const {
  if (turns != nullptr) return turns->answer(begin, reply);
  reply(begin().whole());
}

void add_api(Router& router, const ApiContext& context) {
  add_service_routes(router, context);
  add_status_routes(router, context);
  add_port_routes(router, context);
  add_view_routes(router, context);
  add_history_routes(router, context);
  add_event_routes(router, context);
  add_metrics_routes(router, context);
  add_reload_routes(router, context);
  add_by_hand_routes(router, context);
  add_warm_up_routes(router, context);
  add_blocked_routes(router, context);
  add_discovered_routes(router, context);
  add_fleet_routes(router, context);
  add_security_routes(router, context);
  add_limit_routes(router, context);
  add_source_routes(router, context);
  add_announce_routes(router, context);
  add_peer_routes(router, context);
  add_explain_routes(router, context);
  add_check_routes(router, context);
  add_flow_routes(router, context);
  add_session_routes(router, context);
  add_inspection_routes(router, context);
}

}  // namespace sluice::control
