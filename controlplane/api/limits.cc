// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "config/choices.h"
#include "controlplane/api/api.h"
#include "controlplane/base/put_first.h"
#include "controlplane/changes/limits.h"
#include "controlplane/figures/limit_figures.h"
#include "controlplane/http/query.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

constexpr uint64_t kMostSources = 1000;
constexpr uint64_t kUsualSources = 20;

json number_or_null(uint32_t number) {
  return number == 0 ? json(nullptr) : json(number);
}

json rule_json(const ApiContext& context, const config::Limit& limit, uint32_t index) {
  json out{{"rule", index + 1},
           {"of", config::name_of(limit.of)},
           {"connections", number_or_null(limit.connections)},
           {"per_second", number_or_null(limit.per_second)},
           {"burst", number_or_null(limit.burst)},
           {"action", config::name_of(limit.action)},
           {"services", limit.services},
           {"words", in_words(limit)},
           {"refused", nullptr}};
  if (const auto counters = limit_counters(context.channel, index)) {
    out["refused"] = {{"connections", counters->refused_connections},
                      {"rate", counters->refused_rate},
                      {"handshakes", counters->cut},
                      {"uncounted", counters->uncounted}};
  }
  return out;
}

json source_json(const LimitedSource& source) {
  return {{"rule", source.rule + 1},
          {"prefix", source.prefix.to_string()},
          {"open", source.open},
          {"per_second", source.per_second},
          {"refused", source.refused},
          {"at_limit", source.too_many   ? json("connections")
                       : source.too_fast ? json("rate")
                                         : json(nullptr)}};
}

ApiResponse show(const ApiContext& context, const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"top"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const auto top = query->number("top", kUsualSources, {1, kMostSources});
  if (!top) return ApiResponse::error(http::status::bad_request, top.error());
  const auto& limits = context.config.sources.limits;
  auto sources = limited_sources(context.channel, limits, std::chrono::steady_clock::now().time_since_epoch());
  const size_t shown = put_first(sources, *top, [](const LimitedSource& a, const LimitedSource& b) {
    const auto rank = [](const LimitedSource& s) { return std::tuple(s.too_many || s.too_fast, s.refused, s.open); };
    if (rank(a) != rank(b)) return rank(a) > rank(b);
    return std::tie(a.rule, a.prefix) < std::tie(b.rule, b.prefix);
  });
  json out{{"rules", json::array()}, {"known", sources.size()}, {"sources", json::array()}};
  for (uint32_t i = 0; i < limits.size(); i++) out["rules"].push_back(rule_json(context, limits[i], i));
  for (size_t i = 0; i < shown; i++) out["sources"].push_back(source_json(sources[i]));
  return ApiResponse::json(out);
}

}  // namespace

void add_limit_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/limits",
             [&context](const ApiRequest& request) { return show(context, request); });
}

}  // namespace sluice::control
