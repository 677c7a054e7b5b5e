// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api.h"
#include "controlplane/explain.h"
#include "controlplane/figures.h"
#include "controlplane/names.h"
#include "controlplane/query.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

json explanation_json(const Explanation& explanation, const std::string& client) {
  json out{
      {"client", client},          {"service", explanation.service},
      {"rule", explanation.rule},  {"backend", explanation.backend.empty() ? json(nullptr) : json(explanation.backend)},
      {"why", explanation.why},    {"table_entries", explanation.table_entries},
      {"steps", json::array()},    {"others", json::array()},
      {"notes", explanation.notes}};
  for (const auto& step : explanation.steps) {
    out["steps"].push_back(
        {{"entry", step.entry}, {"backend", step.backend}, {"taken", step.is_taken}, {"why", step.why}});
  }
  for (const auto& other : explanation.others) {
    out["others"].push_back({{"backend", other.backend},
                             {"state", other.state},
                             {"effective_weight", other.effective_weight},
                             {"share", other.share},
                             {"why_not", other.why_not}});
  }
  return out;
}

ApiResponse explain_one(const ApiContext& context, const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"client", "service"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const std::string client = query->text("client").value_or("");
  const auto endpoint = endpoint_from(client);
  if (!endpoint) {
    return ApiResponse::error(http::status::bad_request,
                              "client: allowed: ADDRESS:PORT, such as 192.0.2.7:40000 or [2001:db8::7]:40000");
  }
  const auto named = find_service(context.config, query->text("service").value_or(""));
  if (!named) return ApiResponse::error(http::status::not_found, named.error());
  const auto& services = context.model.services();
  const auto service =
      std::ranges::find_if(services, [&](const ServiceState& each) { return each.config.name == (*named)->name; });
  if (service == services.end()) return ApiResponse::error(http::status::not_found, "the service is not in use");
  if (endpoint->address.is_v4() != (*named)->vip.is_v4()) {
    return ApiResponse::error(http::status::bad_request, "client: of another address family than the service's VIP");
  }
  const auto flows = [&](const Member& member) -> std::optional<uint64_t> {
    const auto figures = figures_of(context.channel, member);
    return figures ? std::optional(figures->flows.flows_now) : std::nullopt;
  };
  return ApiResponse::json(explanation_json(explain(context.model, *service, *endpoint, flows), client));
}

}  // namespace

void add_explain_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/explain",
             [&context](const ApiRequest& request) { return explain_one(context, request); });
}

}  // namespace sluice::control
