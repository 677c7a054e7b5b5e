// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api.h"

#include "controlplane/page.h"

namespace sluice::control {

void add_api(Router& router, const ApiContext& context) {
  add_service_routes(router, context);
  add_status_routes(router, context);
  add_view_routes(router, context);
  add_history_routes(router, context);
  add_event_routes(router, context);
  add_metrics_routes(router, context);
  add_page_routes(router);
  add_reload_routes(router, context);
  add_by_hand_routes(router, context);
  add_warm_up_routes(router, context);
  add_explain_routes(router, context);
  add_check_routes(router, context);
  add_flow_routes(router, context);
  add_tap_routes(router, context);
}

}  // namespace sluice::control
