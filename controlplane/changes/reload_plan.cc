// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/reload_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "controlplane/changes/config_differences.h"
#include "controlplane/tables/maglev.h"
#include "controlplane/weights/warm_up.h"

namespace sluice::control {

namespace {

constexpr double kSmallestShareShown = 0.0005;

// --- Shares ---

/// Backend's key to its share of the service's table.
std::map<uint64_t, double> shares_of(const Model& model, const ServiceState& service) {
  std::map<uint64_t, double> out;
  const Placement& placement = model.placements()[service.placement];
  for (const size_t i : placement.members) out[model.members()[i].key] = 0;
  if (placement.table->entries.empty()) return out;
  std::vector<size_t> counts(placement.table->members.size());
  for (const uint16_t entry : placement.table->entries) {
    if (entry != kNobody) counts[entry]++;
  }
  // A table's members are the placement's, in its order.
  for (size_t k = 0; k < counts.size(); k++) {
    out[model.members()[placement.members[k]].key] =
        static_cast<double>(counts[k]) / static_cast<double>(placement.table->entries.size());
  }
  return out;
}

std::vector<ReloadPlan::Share> compare_shares(const Model& before, const Model& after) {
  std::map<uint64_t, const ServiceState*> earlier;
  for (const ServiceState& service : before.services()) earlier.emplace(service.key, &service);
  std::unordered_map<uint64_t, std::string> labels;  // of what stays, its new one
  for (const Model* model : {&before, &after}) {
    for (const Member& member : model->members()) {
      if (model == &before || !member.removal) labels[member.key] = member.label();
    }
  }
  std::vector<ReloadPlan::Share> out;
  for (const ServiceState& service : after.services()) {
    const auto known = earlier.find(service.key);
    const auto table_of = [](const Model& model, const ServiceState& of) {
      return model.placements()[of.placement].table.get();
    };
    // One table for both: nothing differs.
    if (known != earlier.end() && table_of(before, *known->second) == table_of(after, service)) continue;
    std::map<std::string, std::pair<double, double>> shares;
    for (const auto& [key, share] : shares_of(after, service)) shares[labels[key]].second = share;
    if (known != earlier.end()) {
      for (const auto& [key, share] : shares_of(before, *known->second)) shares[labels[key]].first = share;
    }
    for (const auto& [label, share] : shares) {
      if (std::abs(share.first - share.second) < kSmallestShareShown) continue;
      out.push_back({service.config.name, label, share.first, share.second});
    }
  }
  return out;
}

/// Lets `out` go on where `model` stands, with backends that that one does not have taken as good. A warm-up that is
/// new, or another one, goes by its dates.
void go_on_from(const Model& model, const FlowCounts& flows, SystemTime now, Model& out) {
  std::unordered_map<uint64_t, const Member*> known;
  for (const Member& member : model.members()) known.emplace(member.key, &member);
  out.take_over(model);
  if (!out.id_fault().empty()) out.forget_idle_removals(flows);
  for (size_t i = 0; i < out.members().size(); i++) {
    const Member& member = out.members()[i];
    if (member.removal) continue;
    const auto before = known.find(member.key);
    if (before == known.end() || before->second->warm_up_plan != member.warm_up_plan) {
      out.set_factor(i, &Member::warm_up,
                     member.warm_up_plan ? warm_up_factor(*member.warm_up_plan, {}, now) : Factor{});
    }
    if (before != known.end()) continue;
    out.set_health(i, Health::kUp, "assumed");
    NextHop assumed;
    if (!out.ports().empty()) assumed.twin = out.ports().front().twin;
    for (const LocalAddress& local : out.local_addresses()) {
      if (local.address.is_v4() == member.address.is_v4()) assumed.twin = local.twin;
    }
    out.set_next_hop(i, assumed);
  }
  out.refresh();
}

// --- Flows ---

/// What becomes of the flows of all that `before` has and `after`, which took over from it, has not in the file.
class Fates {
 public:
  Fates(const Model& before, const Model& after, const FlowCounts& flows, ReloadPlan& plan)
      : before_(before), after_(after), flows_(flows), plan_(plan) {
    for (const Member& member : after.members()) now_.emplace(member.key, &member);
    for (const ServiceState& service : after.services()) services_now_.emplace(service.key, &service);
  }

  void tell() {
    plan_.flows_cut = plan_.flows_draining = 0;
    of_services();
    of_members();
  }

 private:
  void cut(std::string what, std::optional<uint64_t> flows) {
    plan_.cuts.push_back({std::move(what), flows.value_or(0)});
    add(plan_.flows_cut, flows);
  }

  void drain(std::string what, std::optional<uint64_t> flows, const Removal& removal) {
    const auto deadline = std::chrono::duration_cast<std::chrono::seconds>(removal.deadline - removal.since);
    plan_.drains.push_back({std::move(what), flows.value_or(0), static_cast<uint64_t>(deadline.count())});
    add(plan_.flows_draining, flows);
  }

  static void add(std::optional<uint64_t>& sum, std::optional<uint64_t> flows) {
    if (!flows) sum.reset();
    if (sum) *sum += *flows;
  }

  void of_services() {
    const auto tell = [this](const ServiceState& service, bool was_removed) {
      const std::string what = "service " + service.config.name;
      if (const auto now = services_now_.find(service.key); now != services_now_.end()) {
        const std::string& name = now->second->config.name;
        if (name != service.config.name || was_removed) plan_.moves.push_back({what, "service " + name});
        return;
      }
      const auto removed = std::ranges::find(after_.removed_services(), service.key, &RemovedService::key);
      const auto flows = flows_.of_service(service);
      if (removed == after_.removed_services().end()) {
        if (!was_removed || flows != 0) cut(what, flows);
      } else if (!was_removed) {
        drain(what, flows, removed->removal);
      }
    };
    for (const ServiceState& service : before_.services()) tell(service, false);
    for (const RemovedService& service : before_.removed_services()) tell(service, true);
  }

  void of_members() {
    // A flow of a removed service was told with it, and is not told again with its backend.
    std::unordered_set<size_t> in_removed, in_staying;
    for (const ServiceState& service : before_.services()) {
      auto& members = services_now_.contains(service.key) ? in_staying : in_removed;
      for (const size_t i : before_.placements()[service.placement].members) members.insert(i);
    }
    for (const RouteState& route : before_.routes()) {
      for (const size_t i : before_.placements()[route.placement].members) in_staying.insert(i);
    }
    for (size_t i = 0; i < before_.members().size(); i++) {
      const Member& member = before_.members()[i];
      const std::string what = "backend " + member.label() + (in_removed.contains(i) ? " (in part counted above)" : "");
      const auto now = now_.find(member.key);
      if (now != now_.end() && !now->second->removal) {
        const Member& then = *now->second;
        const bool renamed = then.pool != member.pool || then.name != member.name || member.removal;
        if (renamed) plan_.moves.push_back({"backend " + member.label(), "backend " + then.label()});
        continue;
      }
      const auto flows = flows_.of_member(member);
      if (member.removal) {  // already
        if (now == now_.end() && flows != 0) cut(what, flows);
      } else if (in_staying.contains(i)) {
        if (now == now_.end()) {
          cut(what, flows);
        } else if (const auto& removal = now->second->removal) {
          drain(what, flows, *removal);
        }
      }
    }
  }

  const Model& before_;
  const Model& after_;
  const FlowCounts& flows_;
  ReloadPlan& plan_;
  std::unordered_map<uint64_t, const Member*> now_;
  std::unordered_map<uint64_t, const ServiceState*> services_now_;
};

}  // namespace

std::string ReloadPlan::summary() const {
  if (is_empty()) return "nothing has changed";
  std::string out = fmt::format("{} change{}", changes.size(), changes.size() == 1 ? "" : "s");
  if (!cuts.empty()) {
    out += flows_cut ? fmt::format("; {} open flows cut", *flows_cut) : "; the flows of what is removed cut";
  }
  if (!drains.empty()) {
    out += flows_draining ? fmt::format("; {} open flows of what is removed go on", *flows_draining)
                          : "; the flows of what is removed go on";
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
  plan.changes = config_changes(running, wanted);
  plan.dataplane_restart = dataplane_differences(running, wanted);
  plan.control_restart = control_differences(running, wanted);
  Journal silent = Journal::silent([now] { return now; });
  Model after(wanted, silent);
  plan.fault = table_memory_fault(table_memory(after));
  if (!plan.fault.empty()) return plan;
  go_on_from(model, flows, now, after);
  plan.shares = compare_shares(model, after);
  Fates(model, after, flows, plan).tell();
  plan.fault = after.id_fault();
  return plan;
}

}  // namespace sluice::control
