// SPDX-License-Identifier: Apache-2.0
//
// A forced check of a backend: one probe for each of its checks, now, with the dialogue. It counts like any other, and
// the prober's rules hold: one connection at a time to an endpoint, within the check's time limits.
#include <memory>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/status_json.h"
#include "controlplane/http/query.h"
#include "healthcheck/prober.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

std::string_view name_of(health::Speaker speaker) {
  switch (speaker) {
    case health::Speaker::kProbe:
      return "probe";
    case health::Speaker::kServer:
      return "server";
    case health::Speaker::kNote:
      return "note";
  }
  return "note";
}

json report_json(const Member& member, const health::CheckReport& report) {
  const health::Verdict& verdict = report.verdict;
  json times = json::array();
  for (const health::StepTime& time : verdict.times)
    times.push_back({{"step", health::name_of(time.step)}, {"us", time.us}});
  json dialogue = json::array();
  for (const health::TranscriptLine& line : report.transcript)
    dialogue.push_back({{"us", line.us}, {"speaker", name_of(line.speaker)}, {"text", line.text}});
  return {{"address", member.address.to_string()},
          {"port", member.port},
          {"check", member.check},
          {"passed", health::passes(verdict.fact)},
          {"fact", health::name_of(verdict.fact)},
          {"step", health::name_of(verdict.step)},
          {"code", verdict.code},
          {"text", verdict.text},
          {"detail", verdict.detail},
          {"times", std::move(times)},
          {"dialogue", std::move(dialogue)}};
}

/// The answer, when the last of the reports is in.
class Gathering {
 public:
  Gathering(std::string backend, size_t expected, Reply reply)
      : answer_{{"backend", std::move(backend)}, {"checks", json::array()}},
        reply_(std::move(reply)),
        missing_(expected) {}

  void take(json report) {
    answer_["checks"].push_back(std::move(report));
    if (--missing_ == 0) reply_(ApiResponse::json(answer_));
  }

 private:
  json answer_;
  Reply reply_;
  size_t missing_;
};

void check(const ApiContext& context, const ApiRequest& request, const Reply& reply) {
  const auto refuse = [&](http::status status, const std::string& text) { reply(ApiResponse::error(status, text)); };
  const auto query = Query::parse(request.query, {"port"});
  if (!query) return refuse(http::status::bad_request, query.error());
  const auto port = query->number("port", 0, {1, 65535});
  if (!port) return refuse(http::status::bad_request, port.error());
  const std::string& pool = request.parameters[0];
  const std::string& name = request.parameters[1];
  std::vector<Member> members;
  bool known = false;
  for (const Member& member : context.model.members()) {
    if (member.pool != pool || member.name != name || (*port != 0 && member.port != *port)) continue;
    known = true;
    if (!member.check.empty()) members.push_back(member);
  }
  const std::string backend = pool + "/" + name;
  if (!known)
    return refuse(http::status::not_found,
                  *port == 0 ? "there is no backend " + backend
                             : "there is no backend " + backend + " on port " + std::to_string(*port));
  if (members.empty()) return refuse(http::status::conflict, backend + " has no check");
  const auto gathering = std::make_shared<Gathering>(backend, members.size(), reply);
  for (const Member& member : members) {
    const auto begun = context.prober->check_now(
        member.label(),
        [gathering, member](const health::CheckReport& report) { gathering->take(report_json(member, report)); });
    if (!begun) return refuse(http::status::service_unavailable, begun.error());
  }
}

}  // namespace

void add_check_routes(Router& router, const ApiContext& context) {
  router.add_later(http::verb::post, "/api/v1/backends/{}/{}/check",
                   [&context](const ApiRequest& request, const Reply& reply) { check(context, request, reply); });
}

}  // namespace sluice::control
