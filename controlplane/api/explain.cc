// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/changes/limits.h"
#include "controlplane/changes/names.h"
#include "controlplane/changes/sources.h"
#include "controlplane/figures/figures.h"
#include "controlplane/figures/limit_figures.h"
#include "controlplane/http/query.h"
#include "controlplane/inspect/explain.h"

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

/// Why this source may not begin a session; "" if it may.
std::string why_blocked(const ApiContext& context, const Address& address) {
  const config::IpAddress source{address.bytes};
  if (context.sources == nullptr || context.sources->list() == nullptr) return "";
  const auto& refused = context.sources->refused();
  if (!context.sources->list()->contains(source) && (refused == nullptr || !refused->contains(source))) return "";
  const auto by = context.sources->longest_block(source);
  if (!by) return "its source is blocked";  // no longer, from the next list on
  return fmt::format("its source is blocked: {} {}", by->prefix.to_string(),
                     by->by_hand        ? "by hand"
                     : by->on_all_nodes ? "on all nodes"
                     : by->offender     ? "for " + std::string(name_of(by->offender->offence))
                                        : "in " + context.sources->config().block_file);
}

/// Why this source is at a limit of the service; "" if it is not.
std::string why_limited(const ApiContext& context, const Address& address, const std::string& service) {
  const config::IpPrefix source{config::IpAddress{address.bytes}, 128};
  const auto& limits = context.config.sources.limits;
  if (limits.empty() || (context.sources != nullptr && context.sources->is_exempt(source))) return "";
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  for (const LimitedSource& each : limited_sources(context.channel, limits, now)) {
    if (!(each.too_many || each.too_fast) || !each.prefix.contains(source)) continue;
    if (!holds_for(limits[each.rule], service)) continue;
    return fmt::format("its source is at limit {} ({}): {} has {} open, {}", each.rule + 1, in_words(limits[each.rule]),
                       each.prefix.to_string(), each.open,
                       each.too_many ? "no more may be" : "and its new ones come too fast");
  }
  return "";
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
  json out = explanation_json(explain(context.model, *service, *endpoint, flows), client);
  std::string refused = why_blocked(context, endpoint->address);
  if (refused.empty()) refused = why_limited(context, endpoint->address, (*named)->name);
  if (!refused.empty()) {
    out["backend"] = nullptr;
    out["why"] = refused;
  }
  return ApiResponse::json(out);
}

}  // namespace

void add_explain_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/explain",
             [&context](const ApiRequest& request) { return explain_one(context, request); });
}

}  // namespace sluice::control
