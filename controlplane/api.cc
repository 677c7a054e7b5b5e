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
}

}  // namespace sluice::control
