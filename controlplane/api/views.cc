// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
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

ApiResponse services(const ApiContext& context) {
  json out = json::array();
  for (const ServiceState& service : context.model.services()) out.push_back(service_json(context, service));
  return listing(context, "services", std::move(out));
}

ApiResponse service(const ApiContext& context, const std::string& name) {
  const auto& all = context.model.services();
  const auto found = std::ranges::find(all, name, [](const ServiceState& each) { return each.config.name; });
  if (found == all.end()) return unknown("service", name);
  json out = service_json(context, *found);
  out["observation"] = observation_of(context, *found);
  return listing(context, "services", json::array({std::move(out)}));
}

/// Of a pool, or of all: each pool once for each port and check under which services use it.
ApiResponse pools(const ApiContext& context, const std::string& name) {
  if (!name.empty() && context.config.find_pool(name) == nullptr) return unknown("pool", name);
  json out = json::array();
  for (const Placement& placement : context.model.placements())
    if (name.empty() || placement.pool == name) out.push_back(pool_json(context, placement));
  return listing(context, "pools", std::move(out));
}

ApiResponse backends(const ApiContext& context) {
  const std::vector<double> shares = shares_of(context.model);
  json out = json::array();
  for (size_t i = 0; i < shares.size(); i++)
    out.push_back(backend_json(context, context.model.members()[i], shares[i]));
  return listing(context, "backends", std::move(out));
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
  get("/api/v1/services", [&context](const ApiRequest&) { return services(context); });
  get("/api/v1/services/{}", [&context](const ApiRequest& r) { return service(context, r.parameters[0]); });
  get("/api/v1/pools", [&context](const ApiRequest&) { return pools(context, ""); });
  get("/api/v1/pools/{}", [&context](const ApiRequest& r) { return pools(context, r.parameters[0]); });
  get("/api/v1/backends", [&context](const ApiRequest&) { return backends(context); });
  get("/api/v1/backends/{}/{}",
      [&context](const ApiRequest& r) { return backend(context, r.parameters[0], r.parameters[1]); });
}

}  // namespace sluice::control
