// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "config/load.h"
#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/doctor/examinations.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string_view name_of(Grade grade) {
  return grade == Grade::kOk ? "ok" : grade == Grade::kWarn ? "warn" : "fail";
}

json as_json(const Report& report) {
  json out = json::array();
  for (const Finding& finding : report.findings())
    out.push_back({{"grade", name_of(finding.grade)},
                   {"topic", finding.topic},
                   {"found", finding.found},
                   {"advice", finding.advice}});
  return {{"findings", std::move(out)},
          {"ok", report.count(Grade::kOk)},
          {"warn", report.count(Grade::kWarn)},
          {"fail", report.count(Grade::kFail)}};
}

/// A line for each, and one with what to do where that is to be done.
std::string view_of(const Report& report, bool colours) {
  std::string out;
  for (const Finding& finding : report.findings()) {
    const int colour = finding.grade == Grade::kOk ? 32 : finding.grade == Grade::kWarn ? 33 : 31;
    const std::string grade = fmt::format("{:<4}", name_of(finding.grade));
    out += fmt::format("{}  {}: {}\n", colours ? fmt::format("\x1b[{}m{}\x1b[0m", colour, grade) : grade,
                       printable(finding.topic), printable(finding.found));
    if (!finding.advice.empty()) out += fmt::format("      -> {}\n", printable(finding.advice));
  }
  return out + fmt::format("{} ok, {} warn, {} fail\n", report.count(Grade::kOk), report.count(Grade::kWarn),
                           report.count(Grade::kFail));
}

/// What control says; nothing if it does not answer.
std::optional<json> status_of(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::nullopt;
  auto answer = client->get("/api/v1/status");
  return answer ? std::optional(std::move(*answer)) : std::nullopt;
}

Outcome doctor(const Invocation& invocation) {
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
  const Report report = examine({*config, machine, path, status ? &*status : nullptr});
  auto shown =
      show_answer(invocation, as_json(report), [&](const json&) { return view_of(report, invocation.colours); });
  if (!shown || report.count(Grade::kFail) == 0) return shown;
  return std::unexpected(Failure{Exit::kFailed, "mail cannot flow, or a program cannot start, as long as that fails"});
}

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .help =
              "Look at the machine beside the configuration: memory, cards, cores, links, kernel settings, limits, "
              "and say what to do",
          .arguments = {},
          .options = {},
          .run = doctor};
}

}  // namespace sluice::ctl
