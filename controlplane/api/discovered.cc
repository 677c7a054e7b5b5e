// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/choices.h"
#include "controlplane/api/api.h"
#include "controlplane/api/discovered_request.h"
#include "controlplane/base/times.h"
#include "controlplane/discovery/discovery.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

/// Whether it is a member of the pool, and not kept out by one of the same name or endpoint.
bool is_in_use(const config::Config& config, const std::string& pool, const config::Backend& backend) {
  const config::Pool* known = config.find_pool(pool);
  return known != nullptr && std::ranges::find(known->backends, backend) != known->backends.end();
}

void add_backends(json& out, const ApiContext& context, const std::string& pool, const DiscoveredBackends& backends) {
  for (const auto& [name, discovered] : backends) {
    out.push_back({{"name", name},
                   {"address", discovered.backend.address.to_string()},
                   {"origin", config::name_of(discovered.backend.origin)},
                   {"in_use", is_in_use(context.config, pool, discovered.backend)},
                   {"missing", discovered.missing}});
  }
}

json pool_json(const ApiContext& context, const std::string& name, const DiscoveredPool& pool) {
  json out{{"pool", name},
           {"source", pool.source()},
           {"read", pool.read ? json(to_rfc3339(*pool.read)) : json(nullptr)},
           {"fault", pool.fault},
           {"missing", pool.missing()},
           {"backends", json::array()}};
  add_backends(out["backends"], context, name, pool.found);
  add_backends(out["backends"], context, name, pool.by_hand);
  return out;
}

ApiResponse show(const ApiContext& context) {
  json pools = json::array();
  for (const auto& [name, pool] : context.discovery->pools()) {
    if (pool.discover || !pool.by_hand.empty()) pools.push_back(pool_json(context, name, pool));
  }
  return ApiResponse::json({{"pools", std::move(pools)}});
}

Discovery::Done apply(Discovery& discovery, const DiscoveredRequest& wanted) {
  switch (wanted.action) {
    case DiscoveredRequest::Action::kAdd:
      return discovery.add(wanted.pool, wanted.backend);
    case DiscoveredRequest::Action::kRemove:
      return discovery.remove(wanted.pool, wanted.name);
    case DiscoveredRequest::Action::kAccept:
      break;
  }
  return discovery.accept(wanted.pool);
}

ApiResponse change(Discovery& discovery, const ApiRequest& request) {
  const auto wanted = discovered_request_from(request.body);
  if (!wanted) return ApiResponse::error(http::status::bad_request, wanted.error());
  if (!discovery.pools().contains(wanted->pool))
    return ApiResponse::error(http::status::not_found, "there is no pool \"" + wanted->pool + "\"");
  const Discovery::Done done = apply(discovery, *wanted);
  if (!done) return ApiResponse::error(http::status::conflict, done.error());
  return ApiResponse::json({{"pool", wanted->pool}, {"warning", *done}});
}

}  // namespace

void add_discovered_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/discovered", [&context](const ApiRequest&) { return show(context); });
  router.add(http::verb::post, "/api/v1/discovered",
             [&context](const ApiRequest& request) { return change(*context.discovery, request); });
}

}  // namespace sluice::control
