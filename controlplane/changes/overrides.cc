// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/overrides.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "controlplane/base/kept_state.h"
#include "controlplane/base/times.h"
#include "controlplane/model/leaving.h"

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
  if (backend == pool->backends.end()) return nullptr;
  const auto& schedule = backend->warm_up;
  return schedule ? &*schedule : nullptr;
}

/// `wish`: whose entry it is; null if it was said here.
std::string reason_for(const ByHand& entry, const Wish* wish) {
  std::string out = "by hand since " + to_rfc3339(entry.admin_since);
  if (wish != nullptr) out += fmt::format(" on all nodes ({} at {})", wish->who, wish->node);
  if (entry.deadline) out += ", until " + to_rfc3339(*entry.deadline);
  if (entry.admin == Admin::kDisabled) out += fmt::format(", {} flows cut", entry.flows_cut);
  return out;
}

/// What an entry says, in words.
std::string words_for(const ByHand& entry) {
  std::vector<std::string> out;
  if (entry.admin == Admin::kDraining)
    out.push_back(entry.deadline ? "draining until " + to_rfc3339(*entry.deadline) : "draining");
  if (entry.admin == Admin::kDisabled) out.emplace_back("disabled");
  if (entry.weight) out.push_back(fmt::format("weight {}", *entry.weight));
  if (entry.warm_up.paused) out.emplace_back("warm-up paused");
  if (entry.warm_up.behind.count() != 0)
    out.push_back(fmt::format("warm-up {} s behind its dates", entry.warm_up.behind.count()));
  return fmt::format("{}", fmt::join(out, ", "));
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
    : config_(config),
      model_(model),
      journal_(journal),
      flows_(std::move(flows)),
      path_(directory + "/by-hand.json"),
      wishes_path_(directory + "/wishes.json") {}

void Overrides::restore() {
  if (auto entries = kept_state(journal_, path_, by_hand_from, "changes by hand are lost"))
    entries_ = std::move(*entries);
  if (auto wishes = kept_state(journal_, wishes_path_, wishes_from, "they are heard again from etcd"))
    wishes_ = std::move(*wishes);
  apply();
}

std::expected<ByHandEntries, std::string> Overrides::changed(ByHandEntries entries, const Change& change) const {
  for (const std::string& name : change.names) {
    if (const auto done = change_one(name, change, entries); !done) return std::unexpected(done.error());
  }
  std::erase_if(entries, [](const auto& entry) { return entry.second.is_empty(); });
  return entries;
}

std::expected<std::string, std::string> Overrides::change(const Change& change) {
  auto next = changed(entries_, change);
  if (!next) return std::unexpected(next.error());
  if (*next == entries_) return "";
  entries_ = std::move(*next);
  if (change.action == Action::kDrain) said_to_us_.insert(change.names.begin(), change.names.end());
  std::erase_if(said_to_us_, [this](const std::string& name) { return !entries_.contains(name); });
  std::string warning = keep_state(journal_, path_, to_text(entries_));
  for (const std::string& name : change.names) record(name, change);
  apply();
  return warning;
}

bool Overrides::set_wishes(Wishes wishes) {
  for (auto& [name, wish] : wishes) {
    const auto known = wishes_.find(name);
    if (known != wishes_.end() && known->second.revision == wish.revision) wish = known->second;  // as time has made it
  }
  if (wishes == wishes_) return false;
  const Wishes before = std::exchange(wishes_, std::move(wishes));
  const auto find = [](const Wishes& in, const std::string& name) {
    const auto found = in.find(name);
    return found == in.end() ? nullptr : &found->second;
  };
  for (const auto& [name, wish] : wishes_) {
    const Wish* was = find(before, name);
    if (was == nullptr || was->revision != wish.revision) empty_.erase(name);
    record_wish(name, was, &wish);
  }
  for (const auto& [name, wish] : before) {
    if (find(wishes_, name) == nullptr) record_wish(name, &wish, nullptr);
  }
  keep_state(journal_, wishes_path_, to_text(wishes_));
  return apply();
}

void Overrides::record_wish(const std::string& name, const Wish* before, const Wish* after) {
  const ByHand nothing;
  const ByHand& was = before == nullptr ? nothing : before->entry;
  const ByHand& is = after == nullptr ? nothing : after->entry;
  if (was == is) return;
  journal_.record(Severity::kInfo, "backend", name,
                  is.is_empty() ? "nothing is said for all nodes any more"
                                : fmt::format("on all nodes: {} ({} at {})", words_for(is), after->who, after->node));
}

std::expected<void, std::string> Overrides::change_one(const std::string& name, const Change& change,
                                                       ByHandEntries& entries) const {
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
                                                           ByHand& entry) const {
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
  if (entries_.empty() && wishes_.empty()) return nullptr;
  for (const std::string& name : {port_name(member), whole_name(member)}) {
    if (const auto own = entries_.find(name); own != entries_.end()) return &own->second;
    if (const auto wish = wishes_.find(name); wish != wishes_.end()) return &wish->second.entry;
  }
  return nullptr;
}

std::optional<uint64_t> Overrides::sum_of(const std::string& name, const Flows& count) const {
  uint64_t out = 0;
  for (const Member& member : model_.members()) {
    if (member.removal || (name != whole_name(member) && name != port_name(member))) continue;
    const auto counted = count(member);
    if (!counted) return std::nullopt;
    out += *counted;
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
  // The whole backend and its port may both have an entry, here and for all nodes: the strictest state counts, and of
  // weights the port's before the backend's, and what was said here before what holds everywhere.
  ByHand out;
  const Wish* by = nullptr;
  const auto take = [&](const ByHand& entry, const Wish* wish) {
    if (entry.weight) out.weight = entry.weight;
    if (entry.admin <= out.admin) return;
    out.admin = entry.admin;
    out.admin_since = entry.admin_since;
    out.deadline = entry.deadline;
    out.flows_cut = entry.flows_cut;
    by = wish;
  };
  if (!wishes_.empty() || !entries_.empty()) {
    for (const std::string& name : {whole_name(member), port_name(member)}) {
      if (const auto wish = wishes_.find(name); wish != wishes_.end()) take(wish->second.entry, &wish->second);
      if (const auto entry = entries_.find(name); entry != entries_.end()) take(entry->second, nullptr);
    }
  }
  bool changed = model_.set_admin(index, out.admin, out.admin == Admin::kEnabled ? std::string() : reason_for(out, by));
  const bool in_time = out.admin == Admin::kDraining && out.deadline;
  changed |= model_.set_leaving(index, in_time && journal_.now() >= leaving_from(out.admin_since, *out.deadline));
  changed |= model_.set_weight_by_hand(index, out.weight);
  return changed;
}

WarmUpClock Overrides::warm_up_clock(const std::string& name) const {
  const auto entry = entries_.find(name);
  if (entry != entries_.end() && entry->second.warm_up != WarmUpClock{}) return entry->second.warm_up;
  const auto wish = wishes_.find(name);
  return wish == wishes_.end() ? WarmUpClock{} : wish->second.entry.warm_up;
}

bool Overrides::apply_warm_up(size_t index) {
  const Member& member = model_.members()[index];
  Factor factor;
  if (member.warm_up_plan) {
    factor = warm_up_factor(*member.warm_up_plan, warm_up_clock(whole_name(member)), journal_.now());
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
  changed |= tell_drained();
  for (size_t i = 0; i < model_.members().size(); i++) {
    if (model_.members()[i].warm_up_plan) changed |= apply_warm_up(i);
  }
  return changed;
}

bool Overrides::move_times(SystemTime::duration by) {
  bool any = false;
  for (const std::string& name : said_to_us_) {
    ByHand& entry = entries_.at(name);
    if (entry.admin != Admin::kDraining) continue;
    entry.admin_since += by;
    if (entry.deadline) *entry.deadline += by;
    any = true;
  }
  if (any) keep_state(journal_, path_, to_text(entries_));
  return any && apply();
}

bool Overrides::tell_drained() {
  bool changed = false;
  for (size_t i = 0; i < model_.members().size(); i++) {
    const Member& member = model_.members()[i];
    if (member.admin == Admin::kDraining && !member.leaving && !member.removal) changed |= apply_to(i);
  }
  return changed;
}

bool Overrides::end_drains() {
  bool own = false, of_all = false;
  for (auto& [name, entry] : entries_) own |= end_drain(name, entry);
  for (auto& [name, wish] : wishes_) of_all |= end_drain(name, wish.entry);
  if (own) keep_state(journal_, path_, to_text(entries_));
  if (of_all) keep_state(journal_, wishes_path_, to_text(wishes_));
  return (own || of_all) && apply();
}

bool Overrides::end_drain(const std::string& name, ByHand& entry) {
  if (entry.admin != Admin::kDraining) return false;
  const auto flows = flows_of(name);
  if (!flows) return false;  // while nobody knows, nothing can be cut
  if (*flows == 0 && empty_.insert(name).second) {
    journal_.record(Severity::kInfo, "backend", name, "drained: no flow is left");
  }
  if (!entry.deadline || *entry.deadline > journal_.now()) return false;
  entry.admin = Admin::kDisabled;
  entry.deadline.reset();
  entry.flows_cut = *flows;
  journal_.record(*flows == 0 ? Severity::kInfo : Severity::kWarning, "backend", name,
                  fmt::format("the drain's deadline has passed: {} flows cut", *flows));
  return true;
}

}  // namespace sluice::control
