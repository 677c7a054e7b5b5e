// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string view_of_explanation(const json& answer, bool colours) {
  const auto service = answer.at("service").get<std::string>();
  const json& backend = answer.at("backend");
  std::string out = fmt::format("{} -> {}: {}\n  rule: {}\n  why:  {}\n", answer.at("client").get<std::string>(),
                                service, backend.is_null() ? "no one backend" : backend.get<std::string>(),
                                answer.at("rule").get<std::string>(), printable(answer.at("why").get<std::string>()));
  if (answer.at("steps").size() > 1) {
    out += "\nEntries tried:\n";
    TextTable steps({">ENTRY", "BACKEND", "WHAT BECAME OF IT"});
    for (const json& step : answer.at("steps")) {
      steps.add({std::to_string(step.at("entry").get<uint32_t>()), step.at("backend").get<std::string>(),
                 Cell(step.at("taken").get<bool>() ? "taken" : printable(step.at("why").get<std::string>()),
                      step.at("taken").get<bool>() ? Colour::kGood : Colour::kCaution)});
    }
    out += steps.to_string(colours);
  }
  out += "\nThe others:\n";
  TextTable others({"BACKEND", "STATE", ">WEIGHT", ">SHARE", "WHY NOT"});
  for (const json& other : answer.at("others")) {
    others.add({other.at("backend").get<std::string>(), other.at("state").get<std::string>(),
                fmt::format("{:.4g}", other.at("effective_weight").get<double>()),
                fmt::format("{:.1f} %", 100 * other.at("share").get<double>()),
                printable(other.at("why_not").get<std::string>())});
  }
  out += others.to_string(colours);
  for (const json& note : answer.at("notes")) out += "\nNote: " + note.get<std::string>() + ".\n";
  return out;
}

}  // namespace

Command explain_command() {
  return {.name = "explain",
          .help = "Which backend a connection would get, by which rule, and why not the others",
          .arguments = {{.name = "CLIENT", .help = "ADDRESS:PORT, [V6]:PORT"}, {.name = "SERVICE", .help = "Its name"}},
          .run = [](const Invocation& invocation) {
            return show(invocation,
                        fmt::format("/api/v1/explain?client={}&service={}", path_segment(invocation.text("CLIENT")),
                                    path_segment(invocation.text("SERVICE"))),
                        [&](const json& answer) { return view_of_explanation(answer, invocation.colours); });
          }};
}

}  // namespace sluice::ctl
