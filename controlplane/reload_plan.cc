// SPDX-License-Identifier: Apache-2.0
#include "controlplane/reload_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "config/choices.h"
#include "controlplane/maglev.h"
#include "controlplane/warm_up.h"

namespace sluice::control {

namespace {

using What = ReloadPlan::What;

constexpr double kSmallestShareShown = 0.0005;

// --- Words for values ---

template <class T>
std::string shown(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return std::string(config::name_of(value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.empty() ? "\"\"" : value;
  } else if constexpr (std::is_same_v<T, config::IpAddress>) {
    return value.to_string();
  } else {
    return fmt::to_string(value);
  }
}

template <class T>
std::string shown(const std::optional<T>& value) {
  return value ? shown(*value) : "none";
}

/// Collects what differs between two things of one type.
class Differences {
 public:
  template <class T>
  Differences& compare(std::string_view name, const T& before, const T& after) {
    if (before != after) texts_.push_back(fmt::format("{} {} -> {}", name, shown(before), shown(after)));
    return *this;
  }
  /// For what has no short form.
  Differences& note(std::string_view name, bool differs) {
    if (differs) texts_.push_back(fmt::format("{} changed", name));
    return *this;
  }
  /// `equal`: whether the two are the same in everything. Settings that nobody compared by name are named as a whole.
  std::string text(bool equal) const {
    if (equal) return "";
    return texts_.empty() ? "other settings changed" : fmt::format("{}", fmt::join(texts_, ", "));
  }

 private:
  std::vector<std::string> texts_;
};

std::string difference(const config::Backend& before, const config::Backend& after) {
  return Differences()
      .compare("address", before.address, after.address)
      .compare("port", before.port, after.port)
      .compare("weight", before.weight, after.weight)
      .compare("max_connections", before.max_connections, after.max_connections)
      .note("warm_up", before.warm_up != after.warm_up)
      .text(before == after);
}

std::string difference(const config::Service& before, const config::Service& after) {
  return Differences()
      .compare("vip", before.vip, after.vip)
      .compare("port", before.port, after.port)
      .compare("pool", before.pool, after.pool)
      .compare("check", before.check, after.check)
      .compare("scheduler", before.scheduler, after.scheduler)
      .compare("table_size", before.table_size, after.table_size)
      .compare("hash_on", before.hash_on, after.hash_on)
      .compare("forwarding", before.forwarding, after.forwarding)
      .compare("proxy", before.proxy, after.proxy)
      .compare("on_backend_down", before.on_backend_down, after.on_backend_down)
      .text(before == after);
}

std::string difference(config::Pool before, config::Pool after) {
  before.backends.clear();  // shown one by one
  after.backends.clear();
  return Differences()
      .compare("check", before.check, after.check)
      .compare("min_healthy", before.min_healthy, after.min_healthy)
      .text(before == after);
}

std::string difference(const config::Check& before, const config::Check& after) {
  return Differences().compare("type", before.type, after.type).text(before == after);
}

// --- Lists of things that have names ---

/// `prefix` goes before names.
template <class T>
void compare_lists(std::string_view kind, const std::string& prefix, const std::vector<T>& before,
                   const std::vector<T>& after, std::vector<ReloadPlan::Change>& out) {
  std::map<std::string_view, const T*> known;
  for (const T& each : before) known.emplace(each.name, &each);
  for (const T& each : after) {
    const auto earlier = known.find(each.name);
    if (earlier == known.end()) {
      out.push_back({What::kAdded, std::string(kind), prefix + each.name, ""});
      continue;
    }
    std::string text = difference(*earlier->second, each);
    if (!text.empty()) out.push_back({What::kChanged, std::string(kind), prefix + each.name, std::move(text)});
    known.erase(earlier);
  }
  for (const T& each : before) {
    if (known.contains(each.name)) out.push_back({What::kRemoved, std::string(kind), prefix + each.name, ""});
  }
}

void compare_pools(const config::Config& before, const config::Config& after, std::vector<ReloadPlan::Change>& out) {
  compare_lists("pool", "", before.pools, after.pools, out);
  static const config::Pool kNone;
  std::set<std::string> names;
  for (const auto* config : {&before, &after}) {
    for (const config::Pool& pool : config->pools) names.insert(pool.name);
  }
  for (const std::string& name : names) {
    const config::Pool* a = before.find_pool(name);
    const config::Pool* b = after.find_pool(name);
    compare_lists("backend", name + "/", (a != nullptr ? *a : kNone).backends, (b != nullptr ? *b : kNone).backends,
                  out);
  }
}

// --- What only a restart changes ---

std::vector<std::string> dataplane_differences(const config::Dataplane& before, const config::Dataplane& after) {
  std::vector<std::string> out;
  const auto note = [&](std::string_view name, bool differs) {
    if (differs) out.push_back(fmt::format("dataplane.{}", name));
  };
  note("workers", before.workers != after.workers);
  note("lcores", before.lcores != after.lcores);
  note("idle", before.idle != after.idle);
  note("flow_capacity", before.flow_capacity != after.flow_capacity);
  note("burst", before.burst != after.burst);
  note("memory_mb", before.memory_mb != after.memory_mb);
  note("hugepages", before.hugepages != after.hugepages);
  note("flow_store", before.flow_store != after.flow_store);
  note("ports", before.ports != after.ports);
  note("timers", before.timers != after.timers);
  if (out.empty() && before != after) out.emplace_back("dataplane");
  return out;
}

std::vector<std::string> control_differences(const config::Config& before, const config::Config& after) {
  std::vector<std::string> out;
  if (before.instance != after.instance) out.emplace_back("instance");
  if (before.control.api != after.control.api) out.emplace_back("control.api");
  if (before.control.http != after.control.http) out.emplace_back("control.http");
  if (before.control.http_names != after.control.http_names) out.emplace_back("control.http_names");
  if (before.control.token_file != after.control.token_file) out.emplace_back("control.token_file");
  if (before.control.state != after.control.state) out.emplace_back("control.state");
  return out;
}

void compare_log(const config::Control& before, const config::Control& after, std::vector<ReloadPlan::Change>& out) {
  const bool equal = before.log_level == after.log_level && before.log_format == after.log_format;
  std::string text = Differences()
                         .compare("level", before.log_level, after.log_level)
                         .compare("format", before.log_format, after.log_format)
                         .text(equal);
  if (!text.empty()) out.push_back({What::kChanged, "control", "log", std::move(text)});
}

// --- Shares ---

/// Backend's label to its share of the service's table.
std::map<std::string, double> shares_of(const Model& model, const ServiceState& service) {
  std::map<std::string, double> out;
  const Placement& placement = model.placements()[service.placement];
  for (const size_t i : placement.members) out[model.members()[i].label()] = 0;
  if (placement.table->entries.empty()) return out;
  std::vector<size_t> counts(placement.table->members.size());
  for (const uint16_t entry : placement.table->entries) {
    if (entry != kNobody) counts[entry]++;
  }
  // A table's members are the placement's, in its order.
  for (size_t k = 0; k < counts.size(); k++) {
    out[model.members()[placement.members[k]].label()] =
        static_cast<double>(counts[k]) / static_cast<double>(placement.table->entries.size());
  }
  return out;
}

std::vector<ReloadPlan::Share> compare_shares(const Model& before, const Model& after) {
  std::map<uint64_t, const ServiceState*> earlier;
  for (const ServiceState& service : before.services()) earlier.emplace(service.key, &service);
  std::vector<ReloadPlan::Share> out;
  for (const ServiceState& service : after.services()) {
    std::map<std::string, std::pair<double, double>> shares;
    for (const auto& [label, share] : shares_of(after, service)) shares[label].second = share;
    if (const auto known = earlier.find(service.key); known != earlier.end()) {
      for (const auto& [label, share] : shares_of(before, *known->second)) shares[label].first = share;
    }
    for (const auto& [label, share] : shares) {
      if (std::abs(share.first - share.second) < kSmallestShareShown) continue;
      out.push_back({service.config.name, label, share.first, share.second});
    }
  }
  return out;
}

/// The model of `wanted`, with backends that `model` does not have taken as good. A warm-up that is new, or another
/// one, goes by its dates.
Model model_after(const config::Config& wanted, const Model& model, SystemTime now, Journal& silent) {
  std::unordered_map<uint64_t, const Member*> known;
  for (const Member& member : model.members()) known.emplace(member.key, &member);
  Model out(wanted, silent);
  out.take_over(model);
  for (size_t i = 0; i < out.members().size(); i++) {
    const Member& member = out.members()[i];
    const auto before = known.find(member.key);
    if (before == known.end() || before->second->warm_up_plan != member.warm_up_plan) {
      out.set_factor(i, &Member::warm_up,
                     member.warm_up_plan ? warm_up_factor(*member.warm_up_plan, {}, now) : Factor{});
    }
    if (before != known.end()) continue;
    out.set_health(i, Health::kUp, "assumed");
    NextHop assumed;
    for (const LocalAddress& local : out.local_addresses()) {
      if (local.address.is_v4() == member.address.is_v4()) assumed.port_index = local.port_index;
    }
    out.set_next_hop(i, assumed);
  }
  out.refresh();
  return out;
}

// --- Flows ---

void count_cuts(const Model& before, const Model& after, const FlowCounts& flows, ReloadPlan& plan) {
  std::unordered_set<uint64_t> staying;
  for (const Member& member : after.members()) staying.insert(member.key);
  for (const ServiceState& service : after.services()) staying.insert(service.key);
  plan.flows_cut = 0;
  const auto add = [&](std::string what, std::optional<uint64_t> count) {
    plan.cuts.push_back({std::move(what), count.value_or(0)});
    if (!count) plan.flows_cut.reset();
    if (plan.flows_cut) *plan.flows_cut += *count;
  };
  // A flow of a removed service is counted there, and not again with its backend.
  std::unordered_set<size_t> in_removed, in_staying;
  for (const ServiceState& service : before.services()) {
    const bool stays = staying.contains(service.key);
    if (!stays) add("service " + service.config.name, flows.of_service(service));
    for (const size_t i : before.placements()[service.placement].members) (stays ? in_staying : in_removed).insert(i);
  }
  for (size_t i = 0; i < before.members().size(); i++) {
    const Member& member = before.members()[i];
    if (staying.contains(member.key) || !in_staying.contains(i)) continue;
    add("backend " + member.label() + (in_removed.contains(i) ? " (in part counted above)" : ""),
        flows.of_member(member));
  }
}

}  // namespace

std::string ReloadPlan::summary() const {
  if (is_empty()) return "nothing has changed";
  std::string out = fmt::format("{} change{}", changes.size(), changes.size() == 1 ? "" : "s");
  if (!cuts.empty()) {
    out += flows_cut ? fmt::format("; {} open flows cut", *flows_cut) : "; the flows of what is removed cut";
  }
  if (!dataplane_restart.empty()) {
    out += fmt::format("; {} left until the data plane restarts", fmt::join(dataplane_restart, ", "));
  }
  if (!control_restart.empty())
    out += fmt::format("; {} left until control restarts", fmt::join(control_restart, ", "));
  return out;
}

ReloadPlan plan_reload(const config::Config& running, const config::Config& wanted, const Model& model,
                       const FlowCounts& flows, SystemTime now) {
  ReloadPlan plan;
  compare_log(running.control, wanted.control, plan.changes);
  compare_lists("check", "", running.checks, wanted.checks, plan.changes);
  compare_pools(running, wanted, plan.changes);
  compare_lists("service", "", running.services, wanted.services, plan.changes);
  plan.dataplane_restart = dataplane_differences(running.dataplane, wanted.dataplane);
  plan.control_restart = control_differences(running, wanted);
  Journal silent = Journal::silent([now] { return now; });
  const Model after = model_after(wanted, model, now, silent);
  plan.shares = compare_shares(model, after);
  count_cuts(model, after, flows, plan);
  return plan;
}

config::Config without_restart(const config::Config& running, config::Config wanted) {
  wanted.instance = running.instance;
  wanted.dataplane = running.dataplane;
  wanted.control.api = running.control.api;
  wanted.control.http = running.control.http;
  wanted.control.http_names = running.control.http_names;
  wanted.control.token_file = running.control.token_file;
  wanted.control.state = running.control.state;
  return wanted;
}

}  // namespace sluice::control
