// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/status_json.h"
#include "controlplane/figures/figures_json.h"
#include "controlplane/figures/sampler.h"
#include "controlplane/http/query.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

/// What of it is asked for: everything that a name given in the query fits.
struct Wanted {
  std::optional<std::string> service, pool, backend;
  uint32_t step_s = History::kCoarseSeconds;

  bool is_everything() const { return !service && !pool && !backend; }
};

std::expected<Wanted, std::string> wanted_of(const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"service", "pool", "backend", "step"});
  if (!query) return std::unexpected(query.error());
  const auto step = query->number("step", History::kCoarseSeconds, {});
  if (!step) return std::unexpected(step.error());
  if (*step != History::kFineSeconds && *step != History::kCoarseSeconds) {
    return std::unexpected("step: allowed: 1 (seconds, the last two minutes) or 10 (the last hour)");
  }
  return Wanted{query->text("service"), query->text("pool"), query->text("backend"), static_cast<uint32_t>(*step)};
}

class Answer {
 public:
  Answer(const History& history, uint32_t step_s) : history_(history), step_s_(step_s) {}

  void add(std::string_view kind, const std::string& name, const std::string& subject) {
    const std::vector<Point> points = history_.points(subject, step_s_);
    subjects_.push_back({{"kind", kind}, {"name", name}, {"points", points.size()}, {"series", series_json(points)}});
  }
  bool empty() const { return subjects_.empty(); }
  json take(SystemTime now) {
    return {{"step_s", step_s_}, {"end", to_rfc3339(now)}, {"history", std::move(subjects_)}};
  }

 private:
  const History& history_;
  uint32_t step_s_;
  json subjects_ = json::array();
};

ApiResponse history(const ApiContext& context, const ApiRequest& request) {
  const auto wanted = wanted_of(request);
  if (!wanted) return ApiResponse::error(http::status::bad_request, wanted.error());
  Answer out(*context.history, wanted->step_s);
  if (wanted->is_everything()) out.add("total", "", kAllServices);
  for (const ServiceState& service : context.model.services())
    if (wanted->is_everything() || wanted->service == service.config.name)
      out.add("service", service.config.name, subject_of(service));
  for (const Placement& placement : context.model.placements())
    if (wanted->pool == placement.pool) out.add("pool", placement.label(), subject_of(placement));
  for (const Member& member : context.model.members())
    if (wanted->backend == member.pool + "/" + member.name) out.add("backend", member.label(), subject_of(member));
  if (out.empty())
    return ApiResponse::error(http::status::not_found, "there is no service, pool or backend of that name");
  return ApiResponse::json(out.take(context.journal.now()));
}

}  // namespace

void add_history_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/history",
             [&context](const ApiRequest& request) { return history(context, request); });
}

}  // namespace sluice::control
