// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/json_rows.h"
#include "controlplane/api/status_json.h"
#include "controlplane/figures/figures_json.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

ApiResponse unknown(const std::string& what, const std::string& name) {
  return ApiResponse::error(http::status::not_found, "there is no " + what + " \"" + name + "\"");
}

/// What the workers saw of SMTP; null while they are not connected.
template <typename Subject>
json observation_of(const ApiContext& context, const Subject& subject) {
  const auto figures = figures_of(context.channel, subject);
  return figures ? observation_json(figures->smtp) : json();
}

/// {"time": ..., name: things}
ApiResponse listing(const ApiContext& context, std::string_view name, json things) {
  json out{{"time", to_rfc3339(context.journal.now())}};
  out[std::string(name)] = std::move(things);
  return ApiResponse::json(out);
}

ApiResponse service(const ApiContext& context, const std::string& name) {
  const auto& all = context.model.services();
  const auto found = std::ranges::find(all, name, [](const ServiceState& each) { return each.config.name; });
  if (found == all.end()) return unknown("service", name);
  json out = service_json(context, *found);
  out["observation"] = observation_of(context, *found);
  return listing(context, "services", json::array({std::move(out)}));
}

/// Once for each port and check under which services use it.
ApiResponse pool(const ApiContext& context, const std::string& name) {
  if (context.config.find_pool(name) == nullptr) return unknown("pool", name);
  json out = json::array();
  for (const Placement& placement : context.model.placements())
    if (placement.pool == name) out.push_back(pool_json(context, placement));
  return listing(context, "pools", std::move(out));
}

/// A backend under each port and check under which services use it.
ApiResponse backend(const ApiContext& context, const std::string& pool, const std::string& name) {
  const std::vector<double> shares = shares_of(context.model);
  json out = json::array();
  for (size_t i = 0; i < shares.size(); i++) {
    const Member& member = context.model.members()[i];
    if (member.pool != pool || member.name != name) continue;
    out.push_back(backend_json(context, member, shares[i]));
    out.back()["observation"] = observation_of(context, member);
  }
  if (out.empty()) return unknown("backend", pool + "/" + name);
  return listing(context, "backends", std::move(out));
}

}  // namespace

void add_view_routes(Router& router, const ApiContext& context) {
  const auto get = [&router](std::string_view pattern, Router::Handler handler) {
    router.add(http::verb::get, pattern, std::move(handler));
  };
  const auto all = [&](std::string_view pattern, void (*add)(JsonRows&, const ApiContext&)) {
    router.add_later(http::verb::get, pattern, [&context, add](const ApiRequest&, const Reply& reply) {
      const auto begin = [&context, add] {
        JsonRows out(json{{"time", to_rfc3339(context.journal.now())}});
        add(out, context);
        return std::move(out).take();
      };
      context.answer_in_turns(begin, reply);
    });
  };
  all("/api/v1/services", add_services);
  all("/api/v1/pools", add_pools);
  all("/api/v1/backends", add_backends);
  get("/api/v1/services/{}", [&context](const ApiRequest& r) { return service(context, r.parameters[0]); });
  get("/api/v1/pools/{}", [&context](const ApiRequest& r) { return pool(context, r.parameters[0]); });
  get("/api/v1/backends/{}/{}",
      [&context](const ApiRequest& r) { return backend(context, r.parameters[0], r.parameters[1]); });
}

}  // namespace sluice::control
