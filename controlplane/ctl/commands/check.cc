// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/check_view.h"
#include "controlplane/ctl/commands/commands.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

/// A probe may take every time limit of its check in turn.
constexpr std::chrono::seconds kPatience{120};

Outcome check(const Invocation& invocation) {
  const std::string backend = invocation.text("BACKEND");
  const size_t slash = backend.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == backend.size())
    return std::unexpected(Failure{Exit::kUsage, "BACKEND is POOL/NAME, such as mta/mta1"});
  const auto port = invocation.number("port", 0, 1, 65535);
  if (!port) return std::unexpected(port.error());
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const std::string path =
      fmt::format("/api/v1/backends/{}/{}/check{}", path_segment(backend.substr(0, slash)),
                  path_segment(backend.substr(slash + 1)), *port == 0 ? "" : fmt::format("?port={}", *port));
  const auto answer = client->post(path, json::object(), kPatience);
  if (!answer) return std::unexpected(answer.error());
  if (auto shown = show_answer(invocation, *answer,
                               [&](const json& checks) { return view_of_check(checks, invocation.colours); });
      !shown)
    return shown;
  for (const json& one : answer->at("checks"))
    if (!one.at("passed").get<bool>()) return std::unexpected(Failure{Exit::kFailed, backend + " did not pass"});
  return {};
}

}  // namespace

Command check_command() {
  return {.name = "check",
          .help = "Check a backend now, and show the dialogue",
          .arguments = {{.name = "BACKEND", .help = "POOL/NAME"}},
          .options = {{.name = "port", .value = "PORT", .help = "only the checks of this port's members"}},
          .run = check};
}

}  // namespace sluice::ctl
