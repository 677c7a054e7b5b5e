// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/status_json.h"
#include "controlplane/http/query.h"

namespace sluice::control {

namespace http = boost::beast::http;

namespace {

constexpr size_t kEventsShown = 200;

ApiResponse events(const ApiContext& context, const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"limit", "kind", "after"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const auto limit = query->number("limit", kEventsShown, {0, Journal::kMaxEntries});
  if (!limit) return ApiResponse::error(http::status::bad_request, limit.error());
  const auto after = query->number("after", 0, {});
  if (!after) return ApiResponse::error(http::status::bad_request, after.error());
  const auto kind = query->text("kind");
  nlohmann::json found = nlohmann::json::array();
  const auto& entries = context.journal.entries();
  for (auto entry = entries.rbegin(); entry != entries.rend() && found.size() < *limit; ++entry) {
    if (entry->id <= *after) break;
    if (!kind || entry->kind == *kind) found.push_back(event_json(*entry));
  }
  return ApiResponse::json({{"events", std::move(found)}});
}

}  // namespace

void add_event_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/events",
             [&context](const ApiRequest& request) { return events(context, request); });
}

}  // namespace sluice::control
