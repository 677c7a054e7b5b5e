// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/doctor/visit.h"
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
  out += fmt::format("{} ok, {} warn, {} fail\n", report.count(Grade::kOk), report.count(Grade::kWarn),
                     report.count(Grade::kFail));
  const auto for_setup = std::ranges::count_if(report.findings(), [](const Finding& finding) {
    return finding.grade != Grade::kOk && !finding.remedies.empty();
  });
  return for_setup == 0 ? out : out + fmt::format("sluicectl setup has files for {} of them\n", for_setup);
}

Outcome doctor(const Invocation& invocation) {
  return visit(invocation, [&](const Patient& patient) -> Outcome {
    const Report report = examine(patient);
    auto shown =
        show_answer(invocation, as_json(report), [&](const json&) { return view_of(report, invocation.colours); });
    if (!shown || report.count(Grade::kFail) == 0) return shown;
    return std::unexpected(
        Failure{Exit::kFailed, "mail cannot flow, or a program cannot start, as long as that fails"});
  });
}

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .help =
              "Look at the machine beside the configuration (memory, cards, cores, links, kernel settings, limits), "
              "ask mail servers for their VIPs and gateways, and say what to do",
          .arguments = {},
          .options = {},
          .run = doctor};
}

}  // namespace sluice::ctl
