// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/visit.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "config/load.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

/// What control says; nothing if it does not answer.
std::optional<json> status_of(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::nullopt;
  auto answer = client->get("/api/v1/status");
  return answer ? std::optional(std::move(*answer)) : std::nullopt;
}

/// "mta/mta1:25", without the check that may stand behind it.
std::string port_name(const json& history) {
  const auto label = history.at("name").get<std::string>();
  return label.substr(0, label.find(' '));
}

/// Of backends that take sessions, as far as there are not too many of them to ask for.
std::map<std::string, RecentFlows> recent_flows(const Invocation& invocation, const json& status) {
  constexpr size_t kMostAsked = 200;
  std::map<std::string, RecentFlows> out;
  const auto client = invocation.client();
  if (!client) return out;
  std::set<std::string> names;
  for (const json& backend : status.at("backends")) {
    if (names.size() == kMostAsked) break;
    if (!backend.at("figures").is_null() && backend.at("figures").at("flows_created").get<uint64_t>() >= kEnoughFlows)
      names.insert(backend.at("pool").get<std::string>() + "/" + backend.at("name").get<std::string>());
  }
  for (const std::string& name : names) {
    const auto answer = client->get("/api/v1/history?step=10&backend=" + path_segment(name));
    if (!answer) continue;
    for (const json& each : answer->at("history"))
      if (const auto recent = recent_flows_in(each.at("series"))) out[port_name(each)] = *recent;
  }
  return out;
}

}  // namespace

Outcome visit(const Invocation& invocation, const std::function<Outcome(const Patient&)>& run) {
  const auto status = status_of(invocation);
  std::string path = invocation.text("config");  // the option of all commands
  if (path.empty() && status) path = status->at("configuration").at("path").get<std::string>();
  if (path.empty())
    return std::unexpected(Failure{Exit::kUsage, "no instance runs here: say which with --config FILE"});
  const auto config = config::load(path);
  if (!config) {
    Failure failure{Exit::kFailed, ""};
    for (const auto& fault : config.error()) failure.text += (failure.text.empty() ? "" : "\n") + fault.to_string();
    return std::unexpected(std::move(failure));
  }
  const Machine machine("", system_calls());
  Patient patient{*config, machine, path, status ? &*status : nullptr};
  if (status) patient.recent_flows = recent_flows(invocation, *status);
  return run(patient);
}

}  // namespace sluice::ctl
