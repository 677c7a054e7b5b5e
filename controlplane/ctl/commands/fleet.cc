// SPDX-License-Identifier: Apache-2.0
//
// What the nodes share by way of etcd.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr size_t kShownDigits = 12;  // of a digest

std::string view_of_etcd(const json& etcd) {
  if (etcd.is_null()) return "nothing is shared with other nodes: fleet.etcd is not set\n";
  std::string out =
      fmt::format("etcd: {} below {}", fmt::join(etcd.at("endpoints").get<std::vector<std::string>>(), ", "),
                  printable(text_of(etcd, "prefix")));
  if (!etcd.at("cluster").is_null())
    out += fmt::format(", cluster {} at revision {}", text_of(etcd, "cluster"), etcd.at("revision").get<uint64_t>());
  out += "\n";
  if (const std::string fault = text_of(etcd, "fault"); !fault.empty())
    out += "what is known stays: " + printable(fault) + "\n";
  return out;
}

std::string view_of_nodes(const json& answer, bool colours) {
  if (answer.at("nodes").empty()) return "";
  TextTable table({"NODE", "ZONE", "VERSION", "FILE", ">UP", ">DOWN", ">SESSIONS", "TOLD"});
  for (const json& node : answer.at("nodes")) {
    const auto down = node.at("down").get<uint64_t>();
    const json& sessions = node.at("sessions");
    table.add({printable(text_of(node, "node")), printable(text_of(node, "zone")), printable(text_of(node, "version")),
               printable(text_of(node, "file")).substr(0, kShownDigits), std::to_string(node.at("up").get<uint64_t>()),
               Cell{std::to_string(down), down == 0 ? Colour::kGood : Colour::kBad},
               sessions.is_null() ? "-" : std::to_string(sessions.get<uint64_t>()), printable(text_of(node, "time"))});
  }
  return "\n" + table.to_string(colours);
}

/// "table of mta:25 differs: 0123456789ab on edge1; none on edge2"
std::string view_of_differences(const json& differences) {
  std::string out;
  for (const json& difference : differences) {
    std::vector<std::string> parts;
    for (const json& value : difference.at("values")) {
      const std::string shown = printable(text_of(value, "value")).substr(0, kShownDigits);
      const auto nodes = value.at("nodes").get<std::vector<std::string>>();
      parts.push_back(fmt::format("{} on {}", shown.empty() ? "none" : shown,
                                  printable(fmt::format("{}", fmt::join(nodes, ", ")))));
    }
    out += fmt::format("{} differs: {}\n", printable(text_of(difference, "what")), fmt::join(parts, "; "));
  }
  return out.empty() ? "" : "\n" + out;
}

/// "paused since 2026-10-12T08:00:00Z, 3.0 days behind its dates"
std::string view_of_warm_up(const json& said) {
  if (said.is_null()) return "";
  constexpr double kDayS = 86400;
  std::vector<std::string> parts;
  if (!said.at("paused").is_null()) parts.push_back("paused since " + text_of(said, "paused"));
  if (const auto behind = said.at("behind_s").get<int64_t>(); behind != 0)
    parts.push_back(fmt::format("{:.1f} days behind its dates", static_cast<double>(behind) / kDayS));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// What operators said for all nodes.
std::string view_of_wishes(const json& wishes, bool colours) {
  if (wishes.empty()) return "";
  TextTable table({"BACKEND", "ON ALL NODES", ">WEIGHT", "WARM-UP", "WHO", "WHERE"});
  for (const json& wish : wishes) {
    const json& weight = wish.at("weight");
    table.add({printable(text_of(wish, "backend")), text_of(wish, "admin"),
               weight.is_null() ? "" : std::to_string(weight.get<uint64_t>()), view_of_warm_up(wish.at("warm_up")),
               printable(text_of(wish.at("fleet"), "who")), printable(text_of(wish.at("fleet"), "node"))});
  }
  return "\n" + table.to_string(colours);
}

/// Whom operators blocked on all nodes.
std::string view_of_blocks(const json& blocks, bool colours) {
  if (blocks.empty()) return "";
  TextTable table({"BLOCKED ON ALL NODES", "UNTIL", "WHO", "WHERE"});
  for (const json& block : blocks) {
    const json& until = block.at("until");
    table.add({text_of(block, "prefix"), until.is_null() ? "-" : until.get<std::string>(),
               printable(text_of(block.at("fleet"), "who")), printable(text_of(block.at("fleet"), "node"))});
  }
  return "\n" + table.to_string(colours);
}

Outcome accept(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const auto answer = client->post("/api/v1/fleet", {{"action", "accept"}});
  if (!answer) return std::unexpected(answer.error());
  return show_answer(invocation, *answer, [&](const json& done) {
    const std::string warning = text_of(done, "warning");
    return "accepted: what etcd says is believed from now on\n" +
           (warning.empty() ? "" : "warning: " + printable(warning) + "\n");
  });
}

Outcome run(const Invocation& invocation) {
  const std::string action = invocation.text("ACTION");
  if (action == "accept") return accept(invocation);
  if (!action.empty()) return std::unexpected(Failure{Exit::kUsage, "ACTION: allowed: accept, or nothing"});
  return show(invocation, "/api/v1/fleet", [&](const json& answer) {
    return view_of_etcd(answer.at("etcd")) + self_faults(answer.at("self")) +
           view_of_nodes(answer, invocation.colours) + view_of_differences(answer.at("differences")) +
           view_of_wishes(answer.at("wishes"), invocation.colours) +
           view_of_blocks(answer.at("blocks"), invocation.colours);
  });
}

}  // namespace

Command fleet_command() {
  return {
      .name = "fleet",
      .help = "The nodes that share an etcd, and in what they differ; or accept that etcd is another, or was set back",
      .arguments = {{.name = "ACTION", .help = "accept; nothing: show it", .required = false}},
      .run = run};
}

}  // namespace sluice::ctl
