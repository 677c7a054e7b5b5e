// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/announce/announcer.h"
#include "controlplane/api/api.h"
#include "controlplane/api/openapi.h"
#include "controlplane/http/query.h"

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

/// Whether new sessions to one VIP are welcome here: by what the announcement goes by, held down as it is.
ApiResponse readiness_of(const ApiContext& context, const std::string& text_of_vip) {
  const auto vip = config::IpAddress::parse(text_of_vip);
  if (!vip) return text(http::status::bad_request, "vip=" + text_of_vip + ": no address");
  const auto& vips = context.announcer->announcement().vips();
  const auto found = vips.find(*vip);
  if (found == vips.end()) return text(http::status::not_found, vip->to_string() + ": no VIP of ours");
  const std::string words = fmt::format("{}: {}", name_of(found->second.state), found->second.reason);
  const bool ready = found->second.state == VipState::kAnnounced;
  return text(ready ? http::status::ok : http::status::service_unavailable, words);
}

ApiResponse readiness(const ApiContext& context, const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"vip"});
  if (!query) return text(http::status::bad_request, query.error());
  const auto vip = query->text("vip");
  return vip ? readiness_of(context, *vip) : readiness(context);
}

}  // namespace

void add_service_routes(Router& router, const ApiContext& context) {
  router.add_open("/healthz", [](const ApiRequest&) { return text(http::status::ok, "alive"); });
  router.add_open("/readyz", [&context](const ApiRequest& request) { return readiness(context, request); });
  router.add(http::verb::get, "/api/v1/openapi.json", [](const ApiRequest&) {
    ApiResponse out;
    out.body = kOpenApi;
    return out;
  });
}

}  // namespace sluice::control
