// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "controlplane/base/kept_state.h"
#include "controlplane/base/times.h"

namespace sluice::control {

namespace {

std::string whole_name(const Member& member) {
  return member.pool + "/" + member.name;
}

std::string port_name(const Member& member) {
  return fmt::format("{}/{}:{}", member.pool, member.name, member.port);
}

bool has_port(const std::string& name) {
  return name.find(':') != std::string::npos;
}

/// The schedule of the backend that an entry is named after; null if it has none.
const config::WarmUp* schedule_of(const config::Config& config, const std::string& name) {
  const size_t slash = name.find('/');
  const config::Pool* pool = config.find_pool(name.substr(0, slash));
  if (pool == nullptr) return nullptr;
  const auto backend = std::ranges::find(pool->backends, name.substr(slash + 1), &config::Backend::name);
  return backend == pool->backends.end() || !backend->warm_up ? nullptr : &*backend->warm_up;
}

std::string reason_for(const ByHand& entry) {
  std::string out = "by hand since " + to_rfc3339(entry.admin_since);
  if (entry.deadline) out += ", until " + to_rfc3339(*entry.deadline);
  if (entry.admin == Admin::kDisabled) out += fmt::format(", {} flows cut", entry.flows_cut);
  return out;
}

std::string words_for(const Overrides::Change& change, const ByHand& entry) {
  using Action = Overrides::Action;
  switch (change.action) {
    case Action::kDrain:
      return entry.deadline ? "draining by hand until " + to_rfc3339(*entry.deadline) : "draining by hand";
    case Action::kDisable:
      return fmt::format("disabled by hand, {} flows cut", entry.flows_cut);
    case Action::kEnable:
      return "enabled by hand";
    case Action::kWeight:
      return entry.weight ? fmt::format("weight {} by hand", *entry.weight) : "weight as configured again";
    case Action::kClear:
      return "changes by hand cleared";
    case Action::kPause:
      return "warm-up paused by hand";
    case Action::kResume:
      return "warm-up resumed by hand";
    case Action::kRollBack:
      return fmt::format("warm-up rolled back by hand, {} s behind its dates", entry.warm_up.behind.count());
  }
  return "";
}

}  // namespace

std::string backend_part(const std::string& name) {
  return name.substr(0, name.find(':'));
}

Overrides::Overrides(const config::Config& config, Model& model, Journal& journal, Flows flows,
                     const std::string& directory)
    : config_(config), model_(model), journal_(journal), flows_(std::move(flows)), path_(directory + "/by-hand.json") {}

void Overrides::restore() {
  if (auto entries = kept_state(journal_, path_, by_hand_from, "changes by hand are lost"))
    entries_ = std::move(*entries);
  apply();
}

std::expected<std::string, std::string> Overrides::change(const Change& change) {
  ByHandEntries next = entries_;
  for (const std::string& name : change.names) {
    if (const auto done = change_one(name, change, next); !done) return std::unexpected(done.error());
  }
  std::erase_if(next, [](const auto& entry) { return entry.second.is_empty(); });
  if (next == entries_) return "";
  entries_ = std::move(next);
  std::string warning = keep_state(journal_, path_, to_text(entries_));
  for (const std::string& name : change.names) record(name, change);
  apply();
  return warning;
}

std::expected<void, std::string> Overrides::change_one(const std::string& name, const Change& change,
                                                       ByHandEntries& entries) {
  const SystemTime now = journal_.now();
  ByHand& entry = entries[name];
  switch (change.action) {
    case Action::kDrain:
    case Action::kDisable: {
      const Admin admin = change.action == Action::kDrain ? Admin::kDraining : Admin::kDisabled;
      if (entry.admin != admin) entry.admin_since = now;
      entry.flows_cut = 0;
      if (admin == Admin::kDisabled) entry.flows_cut = flows_of(name).value_or(0);
      entry.admin = admin;
      entry.deadline.reset();
      if (admin == Admin::kDraining && change.deadline) entry.deadline = now + *change.deadline;
      return {};
    }
    case Action::kEnable:
    case Action::kClear: {
      const bool all = change.action == Action::kClear;
      const auto take_back = [&](ByHand& taken) {
        const ByHand before = std::exchange(taken, ByHand{});
        if (all) return;
        taken.weight = before.weight;
        taken.weight_since = before.weight_since;
        taken.warm_up = before.warm_up;
        taken.warm_up_since = before.warm_up_since;
      };
      take_back(entry);
      for (auto& [other, known] : entries) {
        if (!has_port(name) && backend_part(other) == name) take_back(known);
      }
      const auto whole = entries.find(backend_part(name));
      if (has_port(name) && whole != entries.end() && whole->second.admin != Admin::kEnabled) {
        return std::unexpected(fmt::format("{} is {} on all its ports; enable it as a whole first", whole->first,
                                           name_of(whole->second.admin)));
      }
      return {};
    }
    case Action::kWeight:
      entry.weight = change.weight;
      entry.weight_since = now;
      return {};
    case Action::kPause:
    case Action::kResume:
    case Action::kRollBack:
      return change_warm_up(name, change, entry);
  }
  return {};
}

std::expected<void, std::string> Overrides::change_warm_up(const std::string& name, const Change& change,
                                                           ByHand& entry) {
  if (has_port(name)) return std::unexpected("a warm-up is of a backend on all its ports; leave out the port");
  const config::WarmUp* plan = schedule_of(config_, name);
  if (plan == nullptr) return std::unexpected(name + " has no warm_up in the configuration");
  const SystemTime now = journal_.now();
  if (change.action == Action::kPause && !entry.warm_up.paused) entry.warm_up.paused = now;
  if (change.action == Action::kResume) entry.warm_up = resumed(entry.warm_up, now);
  if (change.action == Action::kRollBack) entry.warm_up = rolled_back(*plan, entry.warm_up, now, change.days);
  entry.warm_up_since = now;
  return {};
}

void Overrides::record(const std::string& name, const Change& change) {
  const auto entry = entries_.find(name);
  journal_.record(Severity::kInfo, "backend", name,
                  words_for(change, entry == entries_.end() ? ByHand{} : entry->second));
  empty_.erase(name);
}

const ByHand* Overrides::find(const Member& member) const {
  if (entries_.empty()) return nullptr;
  const auto of_port = entries_.find(port_name(member));
  if (of_port != entries_.end()) return &of_port->second;
  const auto whole = entries_.find(whole_name(member));
  return whole == entries_.end() ? nullptr : &whole->second;
}

std::optional<uint64_t> Overrides::flows_of(const std::string& name) const {
  uint64_t out = 0;
  for (const Member& member : model_.members()) {
    if (member.removal || (name != whole_name(member) && name != port_name(member))) continue;
    const auto flows = flows_(member);
    if (!flows) return std::nullopt;
    out += *flows;
  }
  return out;
}

bool Overrides::apply() {
  bool changed = false;
  for (size_t i = 0; i < model_.members().size(); i++) {
    if (model_.members()[i].removal) continue;
    changed |= apply_to(i);
    changed |= apply_warm_up(i);
  }
  return changed;
}

bool Overrides::apply_to(size_t index) {
  const Member& member = model_.members()[index];
  // The whole backend and its port may both have an entry: the stricter state counts, and the port's weight.
  ByHand out;
  for (const std::string& name : {whole_name(member), port_name(member)}) {
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) continue;
    if (entry->second.weight) out.weight = entry->second.weight;
    if (entry->second.admin <= out.admin) continue;
    out.admin = entry->second.admin;
    out.admin_since = entry->second.admin_since;
    out.deadline = entry->second.deadline;
    out.flows_cut = entry->second.flows_cut;
  }
  const bool admin = model_.set_admin(index, out.admin, out.admin == Admin::kEnabled ? std::string() : reason_for(out));
  return model_.set_weight_by_hand(index, out.weight) || admin;
}

bool Overrides::apply_warm_up(size_t index) {
  const Member& member = model_.members()[index];
  Factor factor;
  if (member.warm_up_plan) {
    const auto entry = entries_.find(whole_name(member));
    factor = warm_up_factor(*member.warm_up_plan, entry == entries_.end() ? WarmUpClock{} : entry->second.warm_up,
                            journal_.now());
  }
  if (factor == member.warm_up) return false;
  if (member.warm_up_plan) {
    journal_.record(Severity::kInfo, "backend", member.label(),
                    fmt::format("warm-up: {}, {:.4g} % of its weight", factor.reason.empty() ? "done" : factor.reason,
                                100 * factor.value));
  }
  return model_.set_factor(index, &Member::warm_up, std::move(factor));
}

bool Overrides::tick() {
  bool changed = end_drains();
  for (size_t i = 0; i < model_.members().size(); i++) {
    if (model_.members()[i].warm_up_plan) changed |= apply_warm_up(i);
  }
  return changed;
}

bool Overrides::end_drains() {
  bool ended = false;
  for (auto& [name, entry] : entries_) {
    if (entry.admin != Admin::kDraining) continue;
    const auto flows = flows_of(name);
    if (!flows) continue;  // while nobody knows, nothing can be cut
    if (*flows == 0 && empty_.insert(name).second) {
      journal_.record(Severity::kInfo, "backend", name, "drained: no flow is left");
    }
    if (!entry.deadline || *entry.deadline > journal_.now()) continue;
    entry.admin = Admin::kDisabled;
    entry.deadline.reset();
    entry.flows_cut = *flows;
    journal_.record(*flows == 0 ? Severity::kInfo : Severity::kWarning, "backend", name,
                    fmt::format("the drain's deadline has passed: {} flows cut", *flows));
    ended = true;
  }
  if (!ended) return false;
  keep_state(journal_, path_, to_text(entries_));
  return apply();
}

}  // namespace sluice::control
