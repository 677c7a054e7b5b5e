// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/fleet.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/fleet_request.h"
#include "controlplane/api/status_json.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/by_hand_json.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

/// Null if none is configured.
json etcd_json(const Fleet& fleet) {
  if (!fleet.etcd()) return nullptr;
  const auto& at = fleet.position();
  return {{"endpoints", fleet.etcd()->endpoints},
          {"prefix", fleet.etcd()->prefix},
          {"fault", fleet.fault()},
          {"cluster", at ? json(fmt::format("{:x}", at->cluster)) : json(nullptr)},
          {"revision", at ? json(at->revision) : json(nullptr)}};
}

json node_json(const NodeReport& report) {
  return {{"node", report.node},       {"instance", report.instance},
          {"host", report.host},       {"zone", report.zone},
          {"version", report.version}, {"file", report.file},
          {"time", report.time},       {"up", report.up},
          {"down", report.down},       {"sessions", report.sessions ? json(*report.sessions) : json(nullptr)},
          {"tables", report.tables}};
}

json differences_json(const std::vector<NodeReport>& reports) {
  json out = json::array();
  for (const Difference& difference : differences(reports)) {
    json values = json::array();
    for (const auto& [value, nodes] : difference.who) values.push_back({{"value", value}, {"nodes", nodes}});
    out.push_back({{"what", difference.what}, {"values", std::move(values)}});
  }
  return out;
}

ApiResponse show(const ApiContext& context) {
  const Fleet& fleet = *context.fleet;
  json nodes = json::array();
  for (const NodeReport& report : fleet.nodes()) nodes.push_back(node_json(report));
  json wishes = json::array();
  for (json& each : by_hand_json(*context.overrides, told_by(context.channel))) {
    if (!each.at("fleet").is_null()) wishes.push_back(std::move(each));
  }
  return ApiResponse::json(
      {{"time", to_rfc3339(context.journal.now())},
       {"etcd", etcd_json(fleet)},
       {"self", fleet_self_json(&fleet)},
       {"nodes", std::move(nodes)},
       {"differences", differences_json(fleet.nodes())},
       {"wishes", std::move(wishes)},
       {"blocks", context.sources == nullptr ? json::array() : fleet_blocks_json(*context.sources)}});
}

ApiResponse change(Fleet& fleet, const ApiRequest& request) {
  const auto wanted = fleet_request_from(request.body);
  if (!wanted) return ApiResponse::error(http::status::bad_request, wanted.error());
  const auto done = fleet.accept();
  if (!done) return ApiResponse::error(http::status::conflict, done.error());
  return ApiResponse::json({{"warning", *done}});
}

}  // namespace

json fleet_self_json(const Fleet* fleet) {
  if (fleet == nullptr || !fleet->etcd()) return nullptr;
  json rival = nullptr;
  if (const auto& other = fleet->name().rival) rival = {{"instance", other->instance}, {"host", other->host}};
  return {{"node", fleet->node()},
          {"instance", fleet->instance()},
          {"shown", fleet->name().is_ours},
          {"write_fault", fleet->write_fault()},
          {"rival", std::move(rival)}};
}

void add_fleet_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/fleet", [&context](const ApiRequest&) { return show(context); });
  router.add(http::verb::post, "/api/v1/fleet",
             [&context](const ApiRequest& request) { return change(*context.fleet, request); });
}

}  // namespace sluice::control
