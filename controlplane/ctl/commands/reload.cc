// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/file/source.h"
#include "config/load.h"
#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/commands/consent.h"
#include "controlplane/ctl/reload_view.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds kPatience{60};  // for a large file on a slow disk
constexpr unsigned kFaulty = 422;              // of a configuration, as control answers

std::string restart_text(const json& settings, std::string_view process) {
  if (settings.empty()) return "";
  return fmt::format("Left as they are until {} restarts: {}\n", process,
                     fmt::join(settings.get<std::vector<std::string>>(), ", "));
}

std::string changes_text(const json& changes) {
  std::string out;
  for (const json& change : changes) {
    const auto what = change.at("what").get<std::string>();
    const char sign = what == "added" ? '+' : what == "removed" ? '-' : '~';
    const auto text = change.at("text").get<std::string>();
    out += fmt::format("{} {} {}{}{}\n", sign, change.at("kind").get<std::string>(),
                       change.at("name").get<std::string>(), text.empty() ? "" : ": ", printable(text));
  }
  return out;
}

std::string shares_text(const json& shares, bool colours) {
  if (shares.empty()) return "";
  TextTable table({"SERVICE", "BACKEND", ">NOW", ">THEN", ">CHANGE"});
  for (const json& share : shares) {
    const double before = 100 * share.at("before").get<double>();
    const double after = 100 * share.at("after").get<double>();
    table.add({share.at("service").get<std::string>(), share.at("backend").get<std::string>(),
               fmt::format("{:.1f} %", before), fmt::format("{:.1f} %", after),
               Cell(fmt::format("{:+.1f}", after - before), after < before ? Colour::kCaution : Colour::kGood)});
  }
  return "\nShare of new connections:\n" + table.to_string(colours);
}

std::string cuts_text(const json& plan) {
  const json& cuts = plan.at("cuts");
  if (cuts.empty()) return "\nNo open flow is cut.\n";
  const bool known = !plan.at("flows_cut").is_null();
  std::string out = known ? fmt::format("\nOpen flows that are cut: {}\n", plan.at("flows_cut").get<uint64_t>())
                          : "\nOpen flows that are cut (not counted while the data plane is away):\n";
  for (const json& cut : cuts) {
    out += fmt::format("  {}{}\n", cut.at("what").get<std::string>(),
                       known ? fmt::format(": {}", cut.at("flows").get<uint64_t>()) : "");
  }
  return out;
}

std::string drains_text(const json& plan) {
  std::string out;
  if (const json& drains = plan.at("drains"); !drains.empty()) {
    const json& flows = plan.at("flows_draining");
    out += flows.is_null() ? "\nOpen flows of what is removed go on (not counted while the data plane is away):\n"
                           : fmt::format("\nOpen flows of what is removed go on: {}\n", flows.get<uint64_t>());
    for (const json& drain : drains) {
      out += fmt::format("  {}{}; what is left after {} s is cut\n", drain.at("what").get<std::string>(),
                         flows.is_null() ? "" : fmt::format(": {}", drain.at("flows").get<uint64_t>()),
                         drain.at("deadline_s").get<uint64_t>());
    }
  }
  const json& moves = plan.at("moves");
  if (!moves.empty()) out += "\nOpen flows stay with the same address and port under another name:\n";
  for (const json& move : moves) {
    out += fmt::format("  {} -> {}\n", move.at("from").get<std::string>(), move.at("to").get<std::string>());
  }
  return out;
}

std::optional<uint64_t> flows_cut(const json& plan) {
  if (plan.at("cuts").empty()) return 0;
  const json& flows = plan.at("flows_cut");
  return flows.is_null() ? std::nullopt : std::optional(flows.get<uint64_t>());
}

Outcome show_plan(const Invocation& invocation, const json& answer) {
  return show_answer(invocation, answer, [&](const json& plan) { return view_of_reload(plan, invocation.colours); });
}

Outcome reload(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  const bool dry_run = invocation.has(kDryRun.name);
  if (dry_run || may_ask(invocation)) {
    const auto plan = client->post("/api/v1/diff", json::object(), kPatience);
    if (dry_run && !plan) return std::unexpected(plan.error());
    if (dry_run) return show_plan(invocation, *plan);
    // A faulty file is refused by the reload itself, which leaves an event of it.
    if (!plan && plan.error().status != kFaulty) {
      Failure unknown = plan.error();
      unknown.text = "what the reload would cut is not known: " + unknown.text + "; --yes goes on all the same";
      return std::unexpected(std::move(unknown));
    }
    if (plan && flows_cut(*plan) != 0 && !invocation.json) invocation.out() << view_of_reload(*plan, false) << "\n";
    auto agreed = plan ? consent(invocation, "the reload", {.flows = flows_cut(*plan)}) : Outcome();
    if (!agreed) return agreed;
  }
  const auto answer = client->post("/api/v1/reload", json::object(), kPatience);
  if (!answer) return std::unexpected(answer.error());
  return show_plan(invocation, *answer);
}

Failure faulty(const std::vector<config::Fault>& faults) {
  Failure out{Exit::kFailed, "the configuration is faulty; nothing has changed"};
  for (const config::Fault& fault : faults) out.text += "\n" + fault.to_string();
  return out;
}

/// Control is handed the text, with what it includes: it may not see the file (other directories, another /tmp).
Outcome diff(const Invocation& invocation) {
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  std::error_code error;
  const std::string path = std::filesystem::absolute(invocation.text("FILE"), error);
  if (error) return std::unexpected(Failure{Exit::kUsage, "FILE: " + error.message()});
  // Read here as well: what is wrong is told by the lines of the files.
  const auto reading = config::read_config(path);
  if (!reading) return std::unexpected(faulty(reading.error()));
  const auto source = config::Source::read(path);
  if (!source) return std::unexpected(faulty(source.error()));
  auto plan = client->post("/api/v1/diff", {{"path", path}, {"text", source->text()}}, kPatience);
  if (!plan) return std::unexpected(plan.error());
  json& warnings = (*plan)["warnings"] = json::array();
  for (const config::Fault& warning : reading->findings.warnings()) warnings.push_back(warning.to_string());
  return show_plan(invocation, *plan);
}

/// What is most likely a mistake in the file.
std::string warnings_text(const json& plan) {
  std::string out;
  for (const json& warning : plan.value("warnings", json::array())) out += printable(warning.get<std::string>()) + "\n";
  return out.empty() ? "" : "\n" + out;
}

}  // namespace

std::string view_of_reload(const json& plan, bool colours) {
  const std::string warnings = warnings_text(plan);
  if (plan.at("empty").get<bool>()) return "Nothing changes.\n" + warnings;
  return changes_text(plan.at("changes")) + shares_text(plan.at("shares"), colours) + cuts_text(plan) +
         drains_text(plan) + restart_text(plan.at("dataplane_restart"), "the data plane") +
         restart_text(plan.at("control_restart"), "control") + warnings;
}

Command reload_command() {
  return {.name = "reload",
          .help = "Read the configuration file again and go over to it",
          .options = {kDryRun, kYes},
          .run = reload};
}

Command diff_command() {
  return {.name = "diff",
          .help =
              "What a reload with another file would change: settings, shares of new connections, flows that are cut, "
              "drain or stay",
          .arguments = {{.name = "FILE", .help = "Configuration file"}},
          .run = diff};
}

}  // namespace sluice::ctl
