// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr uint64_t kMostDays = 366;

std::string view_of_warm_up(const json& plan, bool colours) {
  const auto reason = plan.at("reason").get<std::string>();
  std::string out = fmt::format("{}: {}, {:.4g} % of its weight", plan.at("backend").get<std::string>(),
                                reason.empty() ? "done" : reason, 100 * plan.at("factor").get<double>());
  if (const auto behind = plan.at("behind_s").get<int64_t>(); behind != 0) {
    out += fmt::format(", {:.1f} days behind its dates", static_cast<double>(behind) / 86400);
  }
  out += fmt::format("\n\nShare of {} with the others as they are now:\n", plan.at("of").get<std::string>());
  TextTable table({"", ">DAY", "DATE", ">FACTOR", ">SHARE"});
  for (const json& day : plan.at("days")) {
    const bool is_today = plan.at("today") == day.at("day");
    table.add({Cell(is_today ? "->" : "", Colour::kGood), std::to_string(day.at("day").get<uint32_t>()),
               day.at("date").get<std::string>(), fmt::format("{:.2f} %", 100 * day.at("factor").get<double>()),
               fmt::format("{:.2f} %", 100 * day.at("share").get<double>())});
  }
  return out + table.to_string(colours);
}

Outcome warm_up(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const std::string backend = invocation.text("BACKEND");
  const std::string action = invocation.text("ACTION");
  if (!action.empty()) {
    if (action != "pause" && action != "resume" && action != "rollback")
      return std::unexpected(Failure{Exit::kUsage, "ACTION: allowed: pause, resume, rollback"});
    const auto days = invocation.number("days", 0, 1, kMostDays);
    if (!days) return std::unexpected(days.error());
    if (invocation.has("days") && action != "rollback")
      return std::unexpected(Failure{Exit::kUsage, "--days is of \"rollback\""});
    json body{{"action", action == "rollback" ? "roll_back" : action}, {"backend", backend}};
    if (invocation.has("days")) body["days"] = *days;
    if (invocation.has("fleet")) body["fleet"] = true;
    const auto changed = client->post("/api/v1/by-hand", body);
    if (!changed) return std::unexpected(changed.error());
  }
  return show(invocation, "/api/v1/warm-up/" + path_segment(backend),
              [&](const json& plan) { return view_of_warm_up(plan, invocation.colours); });
}

}  // namespace

Command warm_up_command() {
  return {.name = "warmup",
          .help = "The plan of a backend's warm-up; or pause, resume, roll it back",
          .arguments = {{.name = "BACKEND", .help = "POOL/BACKEND, or BACKEND where it is the only one"},
                        {.name = "ACTION", .help = "pause, resume or rollback", .required = false}},
          .options = {{"days", "N", "How far to roll back (default: to the beginning)"},
                      {"fleet", "", "On all nodes that share an etcd, and on those that come later"}},
          .run = warm_up};
}

}  // namespace sluice::ctl
