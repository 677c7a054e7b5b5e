// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/doctor/visit.h"
#include "controlplane/ctl/setup/plan.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string_view name_of(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::kNew:
      return "new";
    case Change::Kind::kChanged:
      return "changed";
    case Change::Kind::kRemoved:
      return "removed";
    case Change::Kind::kForeign:
      return "left alone";
    case Change::Kind::kSame:
      break;
  }
  return "as it is";
}

json as_json(const Plan& plan, bool written) {
  json files = json::array(), by_hand = json::array();
  for (const Change& change : plan.changes)
    files.push_back({{"path", change.path},
                     {"change", name_of(change.kind)},
                     {"added", change.added},
                     {"removed", change.removed}});
  for (const Finding& finding : plan.by_hand)
    by_hand.push_back({{"topic", finding.topic}, {"found", finding.found}, {"advice", finding.advice}});
  return {
      {"files", std::move(files)}, {"by_hand", std::move(by_hand)}, {"to_apply", plan.to_apply}, {"written", written}};
}

/// Each file with its lines that come and go, what is left to do by hand, and the commands that follow.
std::string view_of(const Plan& plan, bool written) {
  std::string out;
  for (const Change& change : plan.changes) {
    out += fmt::format("{}: {}\n", change.path, name_of(change.kind));
    for (const std::string& line : change.removed) out += fmt::format("  - {}\n", printable(line));
    for (const std::string& line : change.added) out += fmt::format("  + {}\n", printable(line));
  }
  if (!plan.by_hand.empty()) out += "by hand:\n";
  for (const Finding& finding : plan.by_hand)
    out += fmt::format("  {}: {}\n      -> {}\n", printable(finding.topic), printable(finding.found),
                       printable(finding.advice));
  if (!plan.changes_anything() && plan.to_apply.empty()) return out + "nothing to write\n";
  out += !plan.changes_anything() ? "nothing to write; what is written is not in effect, to follow it:\n"
         : written                ? "written; to follow it now:\n"
                                  : "nothing is written yet; when it is, to follow it:\n";
  for (const std::string& command : plan.to_apply) out += fmt::format("  {}\n", command);
  return out;
}

constexpr std::string_view kForeign =
    "is not of sluicectl setup, or was changed by hand since: move it away, or take the lines into it yourself";

/// Complains of names of --without that are of nothing.
Outcome require_known(const Patient& patient, const Report& report, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  const auto unknown = unknown_names(patient, report, names, known);
  if (unknown.empty()) return {};
  return std::unexpected(Failure{Exit::kUsage, fmt::format("--without {}: no such setting here; allowed: {}",
                                                           fmt::join(unknown, ", "), fmt::join(known, ", "))});
}

Outcome set_up(const Invocation& invocation, const Patient& patient) {
  const bool undo = invocation.has("undo");
  const Report report = undo ? Report{} : look_at(patient);
  const auto without = invocation.texts("without");
  if (!undo)
    if (auto known = require_known(patient, report, without); !known) return known;
  const Plan plan = undo ? plan_of_undo(patient.machine, patient.config.instance) : plan_of(patient, report, without);
  const auto foreign = plan.foreign();
  if (invocation.has("apply") && !foreign.empty())
    return std::unexpected(
        Failure{Exit::kFailed, fmt::format("{} {}. Nothing is written", fmt::join(foreign, ", "), kForeign)});
  const bool writes = undo || invocation.has("apply");
  if (writes)
    if (const auto done = carry_out(plan, ""); !done) return std::unexpected(Failure{Exit::kFailed, done.error()});
  auto shown = show_answer(invocation, as_json(plan, writes), [&](const json&) { return view_of(plan, writes); });
  if (!shown || foreign.empty()) return shown;
  return std::unexpected(Failure{Exit::kFailed, fmt::format("{} {}", fmt::join(foreign, ", "), kForeign)});
}

Outcome setup(const Invocation& invocation) {
  if (invocation.has("apply") && invocation.has("undo"))
    return std::unexpected(Failure{Exit::kUsage, "--apply and --undo: allowed: one of them"});
  if (invocation.has("undo") && !invocation.texts("without").empty())
    return std::unexpected(Failure{Exit::kUsage, "--without and --undo: allowed: one of them"});
  return visit(invocation, [&](const Patient& patient) { return set_up(invocation, patient); });
}

}  // namespace

Command setup_command() {
  return {
      .name = "setup",
      .help =
          "Show the drop-in files that put right what the doctor found, and keep it so over a reboot: huge pages, "
          "kernel settings, drivers of cards, the kernel's command line. Nothing is written without --apply",
      .arguments = {},
      .options = {{.name = "apply", .value = "", .help = "write them; files of others are never touched"},
                  {.name = "without",
                   .value = "NAME",
                   .help =
                       "settings to leave out, by name, such as net.ipv4.ip_forward or isolcpus; to be given each time",
                   .many = true},
                  {.name = "undo", .value = "", .help = "remove all that were written for this instance"}},
      .run = setup};
}

}  // namespace sluice::ctl
