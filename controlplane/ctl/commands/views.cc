// SPDX-License-Identifier: Apache-2.0
//
// services, pools, backends: the lists, and one of them with what was seen of its SMTP.
#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"

namespace sluice::ctl {

namespace {

using Table = std::string (*)(const nlohmann::json&, const Look&);

/// More about one service or backend: what its weight is owed to, and what was seen of its SMTP.
std::string closer_look(const nlohmann::json& each, const Look& look) {
  std::string out = "\nport " + std::to_string(each.at("port").get<uint16_t>()) + "\n";
  if (each.contains("weight")) out += factors_table(each.at("weight").at("factors"), look) + "\n";
  return out + observation_table(each.at("observation"), look);
}

/// Shows the answer's array `name` by `table`, and below it a closer look at each, where the answer has what that
/// needs.
Outcome show_list(const Invocation& invocation, const std::string& path, const char* name, Table table) {
  return show(invocation, path, [&](const nlohmann::json& answer) {
    const Look look{text_of(answer, "time"), invocation.colours};
    std::string out = table(answer.at(name), look);
    for (const auto& each : answer.at(name))
      if (each.contains("observation")) out += closer_look(each, look);
    return out;
  });
}

/// "POOL/NAME" as the end of a path.
std::expected<std::string, Failure> backend_path(const std::string& backend) {
  const size_t slash = backend.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == backend.size()) {
    return std::unexpected(Failure{Exit::kUsage, "BACKEND: allowed: POOL/NAME, as in mta/mta1"});
  }
  return path_segment(backend.substr(0, slash)) + "/" + path_segment(backend.substr(slash + 1));
}

}  // namespace

Command services_command() {
  return {.name = "services",
          .help = "Services with their state and flows; of one also what was seen of SMTP",
          .arguments = {{.name = "SERVICE", .help = "this one alone", .required = false}},
          .run = [](const Invocation& invocation) {
            const std::string name = invocation.text("SERVICE");
            const std::string path = name.empty() ? "" : "/" + path_segment(name);
            return show_list(invocation, "/api/v1/services" + path, "services", services_table);
          }};
}

Command pools_command() {
  return {.name = "pools",
          .help = "Pools: how many of their backends are usable",
          .arguments = {{.name = "POOL", .help = "this one alone", .required = false}},
          .run = [](const Invocation& invocation) {
            const std::string name = invocation.text("POOL");
            const std::string path = name.empty() ? "" : "/" + path_segment(name);
            return show_list(invocation, "/api/v1/pools" + path, "pools", pools_table);
          }};
}

Command backends_command() {
  return {.name = "backends",
          .help = "Backends with their state and every factor of their weight; of one also what was seen of SMTP",
          .arguments = {{.name = "BACKEND", .help = "POOL/NAME: this one alone", .required = false}},
          .run = [](const Invocation& invocation) -> Outcome {
            if (!invocation.has("BACKEND"))
              return show_list(invocation, "/api/v1/backends", "backends", backends_table);
            const auto path = backend_path(invocation.text("BACKEND"));
            if (!path) return std::unexpected(path.error());
            return show_list(invocation, "/api/v1/backends/" + *path, "backends", backends_table);
          }};
}

}  // namespace sluice::ctl
