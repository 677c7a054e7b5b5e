// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/status_json.h"

namespace sluice::control {

namespace http = boost::beast::http;

void add_status_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/status",
             [&context](const ApiRequest&) { return ApiResponse::json(status_json(context)); });
}

}  // namespace sluice::control
