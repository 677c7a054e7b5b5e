// SPDX-License-Identifier: Apache-2.0
//
// The plan of a backend's warm-up, day by day, and the share of new connections that it would get with the others as
// they are now.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/changes/names.h"
#include "controlplane/weights/warm_up.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

/// Of the placements with members of the backend, the first; what the others in it weigh together, and its own weight
/// without its warm-up.
struct Weights {
  std::string placement;
  double own = 0;
  double others = 0;
};

Weights weights_of(const Model& model, const BackendName& name) {
  const auto is_meant = [&](const Member& member) { return member.pool == name.pool && member.name == name.name; };
  for (const Placement& placement : model.placements()) {
    Weights out{placement.label()};
    bool found = false;
    for (const size_t i : placement.members) {
      const Member& member = model.members()[i];
      WeightFactors factors = member.factors();
      if (!is_meant(member)) {
        out.others += effective_weight(factors);
        continue;
      }
      found = true;
      factors.warm_up = 1;
      out.own = effective_weight(factors);
    }
    if (found) return out;
  }
  return {};
}

json days_json(const config::WarmUp& plan, const WarmUpClock& clock, const Weights& weights) {
  json out = json::array();
  for (uint32_t day = 0; day <= days_of(plan); day++) {
    const SystemTime begins = SystemTime(plan.start) + std::chrono::days(day) + clock.behind;
    const double factor = factor_on_day(plan, day);
    const double own = weights.own * factor;
    const double all = own + weights.others;
    out.push_back({{"day", day + 1},
                   {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::to_time_t(begins)))},
                   {"factor", factor},
                   {"share", all > 0 ? own / all : 0}});
  }
  return out;
}

ApiResponse warm_up(const ApiContext& context, const std::string& text) {
  const auto name = find_backend(context.config, text);
  if (!name) return ApiResponse::error(http::status::not_found, name.error());
  const config::Pool& pool = *context.config.find_pool(name->pool);
  const auto backend = std::ranges::find(pool.backends, name->name, &config::Backend::name);
  const auto& warm_up = backend->warm_up;
  if (!warm_up) {
    return ApiResponse::error(http::status::not_found, name->to_string() + " has no warm_up in the configuration");
  }
  const std::string whole = name->pool + "/" + name->name;
  const WarmUpClock clock = context.overrides->warm_up_clock(whole);
  const SystemTime now = context.journal.now();
  const auto today = day_at(*warm_up, clock.at(now));
  const Factor factor = warm_up_factor(*warm_up, clock, now);
  const Weights weights = weights_of(context.model, *name);
  return ApiResponse::json({{"backend", whole},
                            {"of", weights.placement},
                            {"factor", factor.value},
                            {"reason", factor.reason},
                            {"today", today ? json(std::min(*today, days_of(*warm_up)) + 1) : json(nullptr)},
                            {"paused", clock.paused.has_value()},
                            {"behind_s", clock.behind.count()},
                            {"days", days_json(*warm_up, clock, weights)}});
}

}  // namespace

void add_warm_up_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/warm-up/{}",
             [&context](const ApiRequest& request) { return warm_up(context, request.parameters[0]); });
}

}  // namespace sluice::control
