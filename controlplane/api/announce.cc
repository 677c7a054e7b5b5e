// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "config/choices.h"
#include "controlplane/announce/announcer.h"
#include "controlplane/api/api.h"
#include "controlplane/api/node_request.h"
#include "controlplane/api/status_json.h"
#include "controlplane/base/times.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

json pending_json(const std::optional<Announcement::Change>& pending, SystemTime now) {
  if (!pending) return nullptr;
  const auto left = std::max(pending->due - Announcement::Clock::now(), Announcement::Clock::duration::zero());
  return {{"to", name_of(pending->to)},
          {"at", to_rfc3339(now + std::chrono::duration_cast<SystemTime::duration>(left))}};
}

json services_of(const Model& model, const config::IpAddress& vip) {
  json out = json::array();
  for (const ServiceState& service : model.services()) {
    if (service.config.vip != vip) continue;
    const Placement& placement = model.placements()[service.placement];
    out.push_back({{"name", service.config.name},
                   {"port", service.config.port},
                   {"in_service", placement.in_service},
                   {"reason", placement.reason}});
  }
  return out;
}

json node_json(const NodeDrain& node) {
  const auto& wish = node.wish();
  const auto deadline = wish ? wish->deadline : std::nullopt;
  const auto& flows = node.flows();
  return {{"phase", name_of(node.phase())},
          {"since", wish ? json(to_rfc3339(wish->since)) : json(nullptr)},
          {"deadline", deadline ? json(to_rfc3339(*deadline)) : json(nullptr)},
          {"leaving", node.leaves()},
          {"flows_now", flows ? json(flows->open) : json(nullptr)}};
}

ApiResponse change(Announcer& announcer, const ApiRequest& request) {
  const auto wanted = node_request_from(request.body);
  if (!wanted) return ApiResponse::error(http::status::bad_request, wanted.error());
  const auto done = wanted->drains ? announcer.drain(wanted->deadline) : announcer.undrain();
  if (!done) return ApiResponse::error(http::status::conflict, done.error());
  return ApiResponse::json({{"node", node_json(announcer.node())}, {"warning", *done}});
}

}  // namespace

json announce_json(const ApiContext& context) {
  if (context.announcer == nullptr) return nullptr;
  const config::Announce& config = context.announcer->config();
  const Announcement& announcement = context.announcer->announcement();
  json vips = json::array();
  for (const auto& [address, vip] : announcement.vips()) {
    const auto metric = announcement.metric_of(vip.state);
    vips.push_back({{"vip", address.to_string()},
                    {"state", name_of(vip.state)},
                    {"reason", vip.reason},
                    {"since", to_rfc3339(vip.since)},
                    {"metric", metric ? json(*metric) : json(nullptr)},
                    {"pending", pending_json(vip.pending, context.journal.now())},
                    {"changes", vip.changes},
                    {"services", services_of(context.model, address)}});
  }
  return {{"mode", config::name_of(config.mode)},
          {"table", config.table},
          {"protocol", config.protocol},
          {"fault", context.announcer->fault()},
          {"routes_remade", context.announcer->routes().remade()},
          {"addresses_remade", context.announcer->addresses().remade()},
          {"node", node_json(context.announcer->node())},
          {"vips", std::move(vips)}};
}

void add_announce_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/announce", [&context](const ApiRequest&) {
    json out = announce_json(context);
    out["time"] = to_rfc3339(context.journal.now());
    return ApiResponse::json(out);
  });
  router.add(http::verb::post, "/api/v1/node",
             [&context](const ApiRequest& request) { return change(*context.announcer, request); });
}

}  // namespace sluice::control
