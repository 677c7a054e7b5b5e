// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

std::string_view name_of(ReloadPlan::What what) {
  switch (what) {
    case ReloadPlan::What::kAdded:
      return "added";
    case ReloadPlan::What::kRemoved:
      return "removed";
    case ReloadPlan::What::kChanged:
      return "changed";
  }
  return "";
}

json plan_json(const ReloadPlan& plan) {
  json out{{"summary", plan.summary()},
           {"empty", plan.is_empty()},
           {"changes", json::array()},
           {"shares", json::array()},
           {"cuts", json::array()},
           {"flows_cut", plan.flows_cut ? json(*plan.flows_cut) : json(nullptr)},
           {"drains", json::array()},
           {"flows_draining", plan.flows_draining ? json(*plan.flows_draining) : json(nullptr)},
           {"moves", json::array()},
           {"dataplane_restart", plan.dataplane_restart},
           {"control_restart", plan.control_restart},
           {"warnings", plan.warnings}};
  for (const ReloadPlan::Change& change : plan.changes) {
    out["changes"].push_back(
        {{"what", name_of(change.what)}, {"kind", change.kind}, {"name", change.name}, {"text", change.text}});
  }
  for (const ReloadPlan::Share& share : plan.shares) {
    out["shares"].push_back(
        {{"service", share.service}, {"backend", share.backend}, {"before", share.before}, {"after", share.after}});
  }
  for (const ReloadPlan::Cut& cut : plan.cuts) out["cuts"].push_back({{"what", cut.what}, {"flows", cut.flows}});
  for (const ReloadPlan::Drain& drain : plan.drains) {
    out["drains"].push_back({{"what", drain.what}, {"flows", drain.flows}, {"deadline_s", drain.deadline_s}});
  }
  for (const ReloadPlan::Move& move : plan.moves) out["moves"].push_back({{"from", move.from}, {"to", move.to}});
  return out;
}

ApiResponse answer_for(const Reloaded& reloaded) {
  if (reloaded) return ApiResponse::json(plan_json(*reloaded));
  std::string text = "the configuration is faulty; nothing has changed";
  for (const std::string& fault : reloaded.error()) text += "\n" + fault;
  ApiResponse out = ApiResponse::json({{"error", text}, {"faults", reloaded.error()}});
  out.status = http::status::unprocessable_entity;
  return out;
}

/// The text of a configuration, or {"text": "...", "path": "what to call it"}, {"path": "/etc/sluice/new.cfg"}, {} for
/// control's own file.
ApiResponse diff(const ApiContext& context, const ApiRequest& request) {
  const json body = json::parse(request.body, nullptr, false);
  if (!body.is_object()) return answer_for(context.compare(config::read_config_text("(request)", request.body)));
  for (const auto& [name, value] : body.items()) {
    if ((name != "path" && name != "text") || !value.is_string()) {
      return ApiResponse::error(http::status::bad_request,
                                "the body is {\"path\": \"/ABSOLUTE/FILE\"}, {\"text\": \"...\"} or the text of a "
                                "configuration; {} is for the file that is in use");
    }
  }
  if (body.contains("text")) {
    const auto name = body.value("path", std::string("(request)"));
    return answer_for(context.compare(config::read_config_text(name, body["text"].get<std::string>())));
  }
  const std::string own = context.configuration == nullptr ? "" : context.configuration->path;
  const auto path = body.value("path", own);
  std::error_code ignored;
  if (body.contains("path") && (!path.starts_with('/') || !std::filesystem::is_regular_file(path, ignored))) {
    return ApiResponse::error(http::status::bad_request, "\"path\" is not the absolute path of a file");
  }
  return answer_for(context.compare(config::read_config(path)));
}

}  // namespace

void add_reload_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::post, "/api/v1/reload",
             [&context](const ApiRequest&) { return answer_for(context.reload()); });
  router.add(http::verb::post, "/api/v1/diff",
             [&context](const ApiRequest& request) { return diff(context, request); });
}

}  // namespace sluice::control
