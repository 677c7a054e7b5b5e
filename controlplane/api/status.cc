// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/api.h"
#include "controlplane/api/status_json.h"

namespace sluice::control {

namespace http = boost::beast::http;

void add_status_routes(Router& router, const ApiContext& context) {
  router.add_later(http::verb::get, "/api/v1/status", [&context](const ApiRequest&, const Reply& reply) {
    context.answer_in_turns([&context] { return status_answer(context); }, reply);
  });
}

}  // namespace sluice::control
