// SPDX-License-Identifier: Apache-2.0
//
// GET /api/v1/flows: the live flows that match, the oldest first. For those who may write only: it shows what clients
// do.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/choices.h"
#include "controlplane/api/api.h"
#include "controlplane/api/flow_names.h"
#include "controlplane/api/status_json.h"
#include "controlplane/http/query.h"
#include "controlplane/inspect/client_filter.h"
#include "controlplane/inspect/flow_lister.h"

namespace sluice::control {

using nlohmann::json;
namespace http = boost::beast::http;

namespace {

constexpr uint64_t kFlowsShown = 100;
constexpr uint64_t kMostFlowsShown = 10'000;

json flow_json(const ApiContext& context, const SeenFlow& seen, FlowTimers timers, uint32_t now_ms) {
  const Flow& flow = seen.flow;
  const ServiceState* service = service_of(context, seen.worker, flow.service);
  if (service != nullptr && service->config.idle_timeout) timers.established_ms = *service->config.idle_timeout * 1000;
  const bool counted = !is_embryonic(flow.state) && (flow.flags & kFlowProxyPending) == 0;
  json out{{"client", text_of(flow.client)},
           {"client_port", flow.client_port.host()},
           {"service", nullptr},
           {"backend", nullptr},
           {"worker", seen.worker},
           {"age_ms", seen.age_ms},
           {"idle_ms", idle_ms(flow, timers, now_ms)},
           {"state", name_of(flow.state)},
           {"smtp_phase", smtp_phase_name(flow)},
           {"forwarding", config::name_of(static_cast<config::Forwarding>(flow.forwarding()))},
           {"bytes_from_client", nullptr},
           {"bytes_from_backend", is_embryonic(flow.state) ? 0 : flow.bytes_down},
           {"cut", (flow.flags & kFlowCut) != 0}};
  if (counted) out["bytes_from_client"] = flow.bytes_up;
  if (service != nullptr) out["service"] = service->config.name;
  if (const Member* member = member_of(context, seen.worker, flow.backend, flow.backend_generation)) {
    out["backend"] = member->pool + "/" + member->name;
  }
  return out;
}

json answer_json(const ApiContext& context, FlowLister::Found& found) {
  json states = json::object();
  for (const auto& [state, count] : found.scan.states()) states[std::string(name_of(state))] = count;
  json out{{"time", to_rfc3339(context.journal.now())},
           {"matched", found.scan.matched()},
           {"states", std::move(states)},
           {"entries_read", found.scan.looked_at()},
           {"changed_while_read", found.scan.torn()},
           {"scan_us", found.took.count()},
           {"slices", found.slices},
           {"longest_slice_us", found.longest_slice.count()},
           {"flows", json::array()}};
  const FlowTimers timers = context.channel.mapping()->stats_header().timers;
  for (const SeenFlow& seen : found.scan.take_oldest()) {
    out["flows"].push_back(flow_json(context, seen, timers, found.now_ms));
  }
  return out;
}

/// What the query asks for; a response that says what is wrong with it otherwise.
std::expected<std::pair<FlowFilter, size_t>, ApiResponse> filter_of(const ApiContext& context, const Query& query) {
  const auto bad = [](const std::string& text) {
    return std::unexpected(ApiResponse::error(http::status::bad_request, text));
  };
  const auto limit = query.number("limit", kFlowsShown, {1, kMostFlowsShown});
  if (!limit) return bad(limit.error());
  const auto client = ClientFilter::parse(query.text("client").value_or(""));
  if (!client) return bad(client.error());
  if (context.channel.mapping() == nullptr) {  // before names are looked up: without it no name has an id
    return std::unexpected(ApiResponse::error(http::status::service_unavailable, "the data plane is not connected"));
  }
  FlowFilter out;
  out.client = client->address;
  out.prefix_bits = client->prefix_bits;
  out.client_port = client->port;
  if (const auto name = query.text("service")) {
    const auto id = service_id(context, *name);
    if (!id) return std::unexpected(ApiResponse::error(http::status::not_found, id.error()));
    out.service = *id;
  }
  if (const auto name = query.text("backend")) {
    auto ids = backend_ids(context, *name);
    if (!ids) return std::unexpected(ApiResponse::error(http::status::not_found, ids.error()));
    out.backends = std::move(*ids);
  }
  return std::pair{std::move(out), static_cast<size_t>(*limit)};
}

void flows(const ApiContext& context, FlowLister& lister, const ApiRequest& request, const Reply& reply) {
  const auto query = Query::parse(request.query, {"client", "service", "backend", "limit"});
  if (!query) return reply(ApiResponse::error(http::status::bad_request, query.error()));
  auto filter = filter_of(context, *query);
  if (!filter) return reply(filter.error());
  lister.list(std::move(filter->first), filter->second,
              [&context, reply](std::expected<FlowLister::Found*, std::string> found) {
                if (!found) return reply(ApiResponse::error(http::status::service_unavailable, found.error()));
                reply(ApiResponse::json(answer_json(context, **found)));
              });
}

}  // namespace

void add_flow_routes(Router& router, const ApiContext& context) {
  router.add_confidential("/api/v1/flows", [&context](const ApiRequest& request, const Reply& reply) {
    if (context.flows != nullptr) return flows(context, *context.flows, request, reply);
    reply(ApiResponse::error(http::status::service_unavailable, "flows cannot be listed here"));
  });
}

}  // namespace sluice::control
