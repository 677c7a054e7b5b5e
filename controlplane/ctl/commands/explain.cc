// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

/// The open flow of that connection, from /api/v1/flows; null if there is none, or nobody can say.
json live_flow(const Client& client, const std::string& endpoint, const std::string& service) {
  const auto answer =
      client.get(fmt::format("/api/v1/flows?client={}&service={}", path_segment(endpoint), path_segment(service)));
  if (!answer || !answer->contains("flows")) return nullptr;
  for (const json& flow : answer->at("flows")) {
    const auto state = flow.value("state", "");
    // A SYN on a connection that is over is placed anew.
    if (flow.at("backend").is_string() && state != "closed" && state != "reset") return flow;
  }
  return nullptr;
}

std::string view_of_live_flow(const json& flow) {
  if (flow.is_null()) return "";
  return fmt::format("Open for {} s on {} ({}): it stays there. A new one from the same address and port:\n",
                     flow.at("age_ms").get<uint64_t>() / 1000, flow.at("backend").get<std::string>(),
                     flow.at("state").get<std::string>());
}

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

Outcome explain(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const std::string endpoint = invocation.text("CLIENT");
  const std::string service = invocation.text("SERVICE");
  auto answer =
      client->get(fmt::format("/api/v1/explain?client={}&service={}", path_segment(endpoint), path_segment(service)));
  if (!answer) return std::unexpected(answer.error());
  (*answer)["live_flow"] = live_flow(*client, endpoint, service);
  return show_answer(invocation, *answer, [&](const json& whole) {
    return view_of_live_flow(whole.at("live_flow")) + view_of_explanation(whole, invocation.colours);
  });
}

}  // namespace

Command explain_command() {
  return {.name = "explain",
          .help = "Which backend a connection would get, by which rule, and why not the others",
          .arguments = {{.name = "CLIENT", .help = "ADDRESS:PORT, [V6]:PORT"}, {.name = "SERVICE", .help = "Its name"}},
          .run = explain};
}

}  // namespace sluice::ctl
