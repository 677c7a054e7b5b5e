// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/visit.h"

#include <nlohmann/json.hpp>
#include <optional>

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
  return run({*config, machine, path, status ? &*status : nullptr});
}

}  // namespace sluice::ctl
