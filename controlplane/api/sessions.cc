// SPDX-License-Identifier: Apache-2.0
//
// GET /api/v1/sessions: the sessions that ended lately, and with `after` those that have ended since. For those who may
// write only: it shows what clients do.
#include <fmt/format.h>

#include "controlplane/api/api.h"
#include "controlplane/http/query.h"
#include "controlplane/records/session_records.h"

namespace sluice::control {

namespace http = boost::beast::http;

namespace {

constexpr uint64_t kSessionsShown = 200;
constexpr uint64_t kMostSessionsShown = 2000;

ApiResponse sessions(const ApiContext& context, const ApiRequest& request) {
  if (context.records == nullptr) {
    return ApiResponse::error(http::status::service_unavailable, "no sessions are recorded here");
  }
  const auto bad = [](const std::string& text) { return ApiResponse::error(http::status::bad_request, text); };
  const auto query = Query::parse(request.query, {"after", "client", "failed", "limit"});
  if (!query) return bad(query.error());
  const auto number = query->number("after", 0, {});
  if (!number) return bad(number.error());
  const auto after = query->text("after") ? std::optional(*number) : std::nullopt;
  const auto limit = query->number("limit", kSessionsShown, {1, kMostSessionsShown});
  if (!limit) return bad(limit.error());
  const auto failed = query->number("failed", 0, {0, 1});
  if (!failed) return bad(failed.error());
  const auto client = ClientFilter::parse(query->text("client").value_or(""));
  if (!client) return bad(client.error());
  const SessionRecords::Seen seen =
      context.records->see({.client = *client, .failed_only = *failed == 1}, after, *limit);
  return {.body = fmt::format(R"({{"next":{},"missed":{},"sessions":[{}]}})", seen.next, seen.missed,
                              fmt::join(seen.sessions, ","))};
}

}  // namespace

void add_session_routes(Router& router, const ApiContext& context) {
  router.add_confidential("/api/v1/sessions", [&context](const ApiRequest& request, const Reply& reply) {
    reply(sessions(context, request));
  });
}

}  // namespace sluice::control
