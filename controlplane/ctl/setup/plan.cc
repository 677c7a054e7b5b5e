// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/setup/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>

#include "config/schema/devices.h"
#include "controlplane/base/state_file.h"
#include "controlplane/ctl/setup/drop_ins.h"
#include "controlplane/ctl/setup/elsewhere.h"
#include "controlplane/ctl/setup/own_file.h"

namespace sluice::ctl {

namespace fs = std::filesystem;

namespace {

using Lines = std::set<std::string>;

constexpr auto kFileMode = static_cast<fs::perms>(0644);
constexpr auto kDirectoryMode = static_cast<fs::perms>(0755);

/// Without the head.
Lines lines_of(const std::string& body, const std::string& head) {
  Lines out;
  std::istringstream text(body);
  for (std::string line; std::getline(text, line);)
    if (line != head) out.insert(line);
  return out;
}

std::string body_of(const Lines& lines, const std::string& head) {
  std::string out = head.empty() ? "" : head + "\n";
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::vector<std::string> without(const Lines& some, const Lines& others) {
  std::vector<std::string> out;
  std::ranges::set_difference(some, others, std::back_inserter(out));
  return out;
}

/// From one set of lines to the other. No lines: no file.
Change change_of(std::string path, const std::string& instance, const DropIn& place, const Lines& old,
                 const Lines& wanted) {
  Change out{.path = std::move(path), .added = without(wanted, old), .removed = without(old, wanted)};
  if (!wanted.empty()) out.text = own_text(instance, body_of(wanted, place.head));
  out.kind = old == wanted    ? Change::Kind::kSame
             : old.empty()    ? Change::Kind::kNew
             : wanted.empty() ? Change::Kind::kRemoved
                              : Change::Kind::kChanged;
  return out;
}

/// How the lines begin that bind cards of the configuration.
std::vector<std::string> bindings_of(const config::Config& config) {
  std::vector<std::string> out;
  for (const config::Port& port : config.dataplane.ports)
    for (const std::string& device : config::devices_of(port))
      if (const std::string address = config::pci_address(device); !address.empty())
        out.push_back(line_of({Remedy::Kind::kDriver, address, ""}).key);
  return out;
}

bool has_one_of(const std::string& line, const std::vector<std::string>& keys) {
  return std::ranges::any_of(keys, [&](const std::string& key) { return has_key(line, key); });
}

void erase_line(Lines& lines, const std::string& key) {
  std::erase_if(lines, [&](const std::string& line) { return has_key(line, key); });
}

/// Whether one of them is `text` and a few words more: a card's MAC, which is not told while DPDK has the card.
bool says_more(const Lines& lines, const std::string& text) {
  const auto next = lines.upper_bound(text + " ");
  return next != lines.end() && next->starts_with(text + " ");
}

/// Old lines, those that are said otherwise now in their new form, and new ones.
Lines merged(Lines lines, const Remedies& remedies, Remedy::Kind kind) {
  for (const Remedy& remedy : remedies) {
    if (remedy.kind != kind) continue;
    const Line line = line_of(remedy);
    if (says_more(lines, line.text)) continue;
    erase_line(lines, line.key);
    lines.insert(line.text);
  }
  return lines;
}

/// A sysctl's name may be written either way.
bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [&](const std::string& other) { return plain_name(other) == plain_name(name); });
}

/// What of the report files can do, and what they cannot.
struct Sorted {
  Remedies remedies;
  Remedies missing;  // those of them that are not in effect
  std::vector<Finding> by_hand;
};

Sorted sort_out(const Patient& patient, const Report& report, const std::vector<std::string>& unwanted) {
  const bool has_grub = patient.machine.has("/etc/default/grub");
  Sorted out;
  for (const Finding& finding : report.findings()) {
    bool all = !finding.remedies.empty();
    for (const Remedy& remedy : finding.remedies) {
      if (is_one_of(remedy.name, unwanted) || (remedy.kind == Remedy::Kind::kBoot && !has_grub)) {
        all = false;
        continue;
      }
      const bool is_well = finding.grade == Grade::kOk;
      Settled settled = settle(patient.machine, patient.config.instance, remedy, is_well);
      if (!settled.conflict.empty())
        out.by_hand.push_back({finding.grade, remedy.name, finding.found, std::move(settled.conflict), {}});
      if (!settled.remedy) continue;
      if (!is_well) out.missing.push_back(*settled.remedy);
      out.remedies.push_back(std::move(*settled.remedy));
    }
    if (finding.grade != Grade::kOk && !all) out.by_hand.push_back(finding);
  }
  return out;
}

bool is_written(const Change& change) {
  return change.kind != Change::Kind::kSame && change.kind != Change::Kind::kForeign;
}

/// Whether the machine has still to be told.
bool is_followed(const Change& change) {
  return is_written(change) || change.is_pending;
}

/// Whether a change waits for GRUB; then nothing else needs a command, as the reboot does it.
bool waits_for_grub(const Plan& plan, const std::string& instance) {
  const std::string path = drop_in_of(Remedy::Kind::kBoot, instance).path;
  return std::ranges::any_of(plan.changes,
                             [&](const Change& change) { return is_followed(change) && change.path == path; });
}

/// Whether something of that kind is not in effect. A module is loaded by whoever binds a card.
bool waits(const Remedies& missing, Remedy::Kind kind) {
  return kind != Remedy::Kind::kModule &&
         std::ranges::any_of(missing, [&](const Remedy& remedy) { return remedy.kind == kind; });
}

}  // namespace

std::vector<std::string> unknown_names(const Patient& patient, const Report& report,
                                       const std::vector<std::string>& names, std::vector<std::string>& known) {
  std::set<std::string> found;
  for (const Finding& finding : report.findings())
    for (const Remedy& remedy : finding.remedies) found.insert(plain_name(remedy.name));
  for (const Remedy::Kind kind : kDropIns) {
    const DropIn place = drop_in_of(kind, patient.config.instance);
    for (const std::string& line :
         lines_of(find_own(patient.machine, place.path, patient.config.instance).body, place.head))
      found.insert(plain_name(name_in(line, kind)));
  }
  known.assign(found.begin(), found.end());
  std::vector<std::string> out = names;
  std::erase_if(out, [&](const std::string& name) { return found.contains(plain_name(name)); });
  return out;
}

bool Plan::changes_anything() const {
  return std::ranges::any_of(changes, is_written);
}

std::vector<std::string> Plan::foreign() const {
  std::vector<std::string> out;
  for (const Change& change : changes)
    if (change.kind == Change::Kind::kForeign) out.push_back(change.path);
  return out;
}

Plan plan_of(const Patient& patient, const Report& report, const std::vector<std::string>& unwanted) {
  const std::string& instance = patient.config.instance;
  Sorted sorted = sort_out(patient, report, unwanted);
  Plan out{.by_hand = std::move(sorted.by_hand)};
  for (const Remedy::Kind kind : kDropIns) {
    const DropIn place = drop_in_of(kind, instance);
    const Found found = find_own(patient.machine, place.path, instance);
    const Lines old = lines_of(found.body, place.head);
    Lines kept = old;
    if (kind == Remedy::Kind::kDriver)
      std::erase_if(
          kept, [bound = bindings_of(patient.config)](const std::string& line) { return !has_one_of(line, bound); });
    std::erase_if(kept, [&](const std::string& line) { return is_one_of(name_in(line, kind), unwanted); });
    const Lines wanted = merged(std::move(kept), sorted.remedies, kind);
    if (old.empty() && wanted.empty()) continue;
    Change change = change_of(place.path, instance, place, old, wanted);
    if (found.owner == Owner::kOthers) change.kind = Change::Kind::kForeign;
    change.is_pending = change.kind == Change::Kind::kSame && waits(sorted.missing, kind);
    if (is_followed(change)) out.to_apply.push_back(place.apply);
    out.changes.push_back(std::move(change));
  }
  if (waits_for_grub(out, instance)) out.to_apply = {"update-grub", "reboot"};
  return out;
}

Plan plan_of_undo(const Machine& machine, const std::string& instance) {
  Plan out;
  for (const Remedy::Kind kind : kDropIns) {
    const DropIn place = drop_in_of(kind, instance);
    const Found found = find_own(machine, place.path, instance);
    if (found.owner == Owner::kNobody) continue;
    Change change = change_of(place.path, instance, place, lines_of(found.body, place.head), {});
    change.kind = found.owner == Owner::kSetup ? Change::Kind::kRemoved : Change::Kind::kForeign;
    out.changes.push_back(std::move(change));
  }
  if (waits_for_grub(out, instance)) out.to_apply.emplace_back("update-grub");
  if (out.changes_anything()) out.to_apply.emplace_back("reboot");  // what is in effect stays so until then
  return out;
}

std::expected<void, std::string> carry_out(const Plan& plan, const std::string& root) {
  for (const Change& change : plan.changes) {
    if (!is_written(change)) continue;
    const fs::path path = root + change.path;
    std::error_code error;
    if (change.text.empty()) {
      if (!fs::remove(path, error) || error)
        return std::unexpected(fmt::format("cannot remove {}: {}", path.string(), error.message()));
      // The directory of a unit's drop-ins, if nothing else is in it. Others are never empty for long.
      if (path.parent_path().extension() == ".d" && path.parent_path().stem().extension() == ".service")
        fs::remove(path.parent_path(), error);
      continue;
    }
    if (fs::create_directories(path.parent_path(), error)) fs::permissions(path.parent_path(), kDirectoryMode, error);
    if (error) return std::unexpected(fmt::format("cannot make {}: {}", path.parent_path().string(), error.message()));
    if (auto saved = control::save_state(path, change.text); !saved) return saved;
    fs::permissions(path, kFileMode, error);
    if (error) return std::unexpected(fmt::format("cannot make {} readable: {}", path.string(), error.message()));
  }
  return {};
}

}  // namespace sluice::ctl
