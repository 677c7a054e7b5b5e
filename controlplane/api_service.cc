// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "controlplane/api.h"
#include "controlplane/openapi.h"

namespace sluice::control {

namespace http = boost::beast::http;

namespace {

ApiResponse text(http::status status, std::string words) {
  ApiResponse out;
  out.status = status;
  out.content_type = "text/plain; charset=utf-8";
  out.body = std::move(words) + "\n";
  return out;
}

/// Whether mail goes by what control knows: connected, and something was published and is in use.
ApiResponse readiness(const ApiContext& context) {
  if (!context.dataplane.connected)
    return text(http::status::service_unavailable, "not connected to the data plane: " + context.dataplane.reason);
  if (context.channel.publisher() == nullptr || !context.channel.last_latency())
    return text(http::status::service_unavailable, "nothing published yet: waiting for the first verdicts");
  return text(http::status::ok, "ready");
}

}  // namespace

void add_service_routes(Router& router, const ApiContext& context) {
  router.add_open("/healthz", [](const ApiRequest&) { return text(http::status::ok, "alive"); });
  router.add_open("/readyz", [&context](const ApiRequest&) { return readiness(context); });
  router.add(http::verb::get, "/api/v1/openapi.json", [](const ApiRequest&) {
    ApiResponse out;
    out.body = kOpenApi;
    return out;
  });
}

}  // namespace sluice::control
