// SPDX-License-Identifier: Apache-2.0
//
// Going over to another configuration while packets flow. First everything that can fail, then the change, in one turn
// of the event loop; the data plane gets it as one aim.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <utility>

#include "controlplane/base/log.h"
#include "controlplane/figures/figures.h"
#include "controlplane/process/controller.h"
#include "controlplane/process/node_facts.h"

namespace sluice::control {

namespace {

std::vector<std::string> faults_of(const std::vector<config::Fault>& faults) {
  std::vector<std::string> out;
  out.reserve(faults.size());
  for (const config::Fault& fault : faults) out.push_back(fault.to_string());
  return out;
}

/// What is wrong with a configuration and its discovered backends together. Without any, it is what was read.
std::vector<std::string> faults_together(const config::Config& whole, const DiscoveredPools& discovered) {
  if (!adds_backends(discovered)) return {};
  std::vector<std::string> out = config::faults_of(whole);
  for (std::string& fault : out) fault.insert(0, "with the backends that were discovered: ");
  return out;
}

constexpr size_t kMaxWarnings = 50;  // that are told: more would push everything else out of the list of events

}  // namespace

void Controller::tell_warnings(const std::vector<config::Fault>& warnings) {
  std::set<std::string> told;
  for (const config::Fault& warning : warnings) {
    told.insert(warning.message);
    if (told_warnings_.contains(warning.message) || told.size() > kMaxWarnings) continue;
    journal_.record(Severity::kWarning, "control", "configuration", warning.to_string());
  }
  if (told.size() > kMaxWarnings && told != told_warnings_) {
    journal_.record(Severity::kWarning, "control", "configuration",
                    fmt::format("and {} warnings more: --check tells all", told.size() - kMaxWarnings));
  }
  told_warnings_ = std::move(told);
}

Reloaded Controller::plan_for(const config::Config& running, const config::Config& whole,
                              const DiscoveredPools& discovered, const config::Findings& findings) const {
  if (auto faults = faults_together(whole, discovered); !faults.empty()) return std::unexpected(std::move(faults));
  ReloadPlan plan = plan_reload(running, whole, model_, flow_counts(), journal_.now());
  if (!plan.fault.empty()) return std::unexpected(std::vector{plan.fault});
  for (const config::Fault& warning : findings.warnings()) plan.warnings.push_back(warning.to_string());
  return plan;
}

Reloaded Controller::compare(const LoadedConfig& wanted) const {
  if (!wanted) return std::unexpected(faults_of(wanted.error()));
  const DiscoveredPools discovered = discovery_.known_for(wanted->config.pools);
  const config::Config whole = complete(wanted->config, discovered);
  return plan_for(as_it_runs(whole), whole, discovered, wanted->findings);
}

config::Config Controller::as_it_runs(const config::Config& wanted) const {
  config::Config out = config_;
  const auto& ours = config_.dataplane.ports;
  if (ours != wanted.dataplane.ports && !runs_our_dataplane(ours) && runs_our_dataplane(wanted.dataplane.ports)) {
    out.dataplane = wanted.dataplane;  // it was restarted with this file before we read it
  }
  return out;
}

Reloaded Controller::reload() {
  const Clock::time_point began = Clock::now();
  follow_clock();
  LoadedConfig wanted = config::read_config(configuration_.path);
  if (!wanted) return refuse(faults_of(wanted.error()));
  DiscoveredPools discovered = discovery_.known_for(wanted->config.pools);
  config::Config whole = complete(std::move(wanted->config), discovered);
  const config::Config running = as_it_runs(whole);
  Reloaded plan = plan_for(running, whole, discovered, wanted->findings);
  if (!plan) return refuse(std::move(plan.error()));
  StartSettings wanted_at_start = StartSettings::of(whole);
  config::Config next = without_restart(running, std::move(whole));
  waiting_dataplane_.reset();
  if (wanted_at_start != StartSettings::of(next)) waiting_dataplane_ = std::move(wanted_at_start);
  if (const auto done = go_over(std::move(next)); !done) return refuse({done.error()});
  discovery_.follow(std::move(discovered));
  configuration_.loaded = journal_.now();
  file_digests_ = file_digests(configuration_.path, wanted->findings.files("fleet.node"));
  configuration_.last_attempt = configuration_.loaded;
  configuration_.fault.clear();
  journal_.record(Severity::kInfo, "control", "reload", plan->summary());
  tell_warnings(wanted->findings.warnings());
  something_changed(began);
  return plan;
}

std::expected<void, std::string> Controller::go_over(config::Config next) {
  verdicts_.flush();
  Model model(next, journal_, placement_secret_);
  model.take_over(model_);
  if (!model.id_fault().empty()) model.forget_idle_removals(flow_counts());
  if (auto set = prober_.set_targets(targets_of(next, model)); !set) return std::unexpected(std::move(set.error()));
  adopt(std::move(next), std::move(model));
  return {};
}

std::string Controller::take_discovered(const DiscoveredPools& known) {
  const Clock::time_point began = Clock::now();
  follow_clock();
  config::Config whole = complete(config_, known);
  if (const auto faults = faults_together(whole, known); !faults.empty()) return faults.front();
  const ReloadPlan plan = plan_reload(config_, whole, model_, flow_counts(), journal_.now());
  if (!plan.fault.empty()) return plan.fault;
  if (const auto done = go_over(std::move(whole)); !done) return done.error();
  something_changed(began);
  return "";
}

void Controller::begin_with_discovered() {
  discovery_.start(config_.pools);
  config::Config whole = complete(config_, discovery_.pools());
  std::vector<std::string> faults = faults_together(whole, discovery_.pools());
  if (faults.empty()) faults.push_back(table_memory_fault(table_memory(whole)));
  if (!faults.front().empty()) {
    journal_.record(Severity::kError, "discovery", config_.instance, "begins without: " + faults.front());
    return;
  }
  config_ = std::move(whole);
  model_ = Model(config_, journal_, placement_secret_);
}

Reloaded Controller::refuse(std::vector<std::string> faults) {
  for (const std::string& fault : faults) spdlog::error("reload: {}", fault);
  configuration_.last_attempt = journal_.now();
  configuration_.fault = faults.front();
  journal_.record(Severity::kError, "control", "reload",
                  faults.size() == 1 ? fmt::format("refused, nothing has changed: {}", faults.front())
                                     : fmt::format("refused, nothing has changed: {} (and {} more)", faults.front(),
                                                   faults.size() - 1));
  return std::unexpected(std::move(faults));
}

void Controller::adopt(config::Config config, Model model) {
  if (config.control.log_level != config_.control.log_level || config.control.log_format != config_.control.log_format)
    set_up_log(config.control.log_level, config.control.log_format);
  config_ = std::move(config);
  give_up(model_);
  model_ = std::move(model);
  verdicts_.follow(config_);
  remember();
  overrides_.apply();
  sources_.follow(config_.sources);
  tally_.follow(config_.sources);
  steering_.follow(config_);
  records_.follow(config_.records);
  ports_.follow(config_.dataplane.ports);
  router_follower_.follow(config_.dataplane.ports);
  local_addresses_.follow(config_);
  neighbors_.follow(addresses());
  announcer_.follow(config_);
  fleet_.follow(config_.fleet);
  security_.follow(config_);
}

std::optional<NodeDrain::Flows> Controller::node_flows() const {
  NodeDrain::Flows out;
  const auto add_all = [&](const auto& services) {
    return std::ranges::all_of(services, [&](const ServiceState& service) {
      const auto figures = figures_of(channel_, service);
      if (!figures) return false;
      out.created += figures->flows.flows_created;
      out.open += figures->flows.flows_now;
      return true;
    });
  };
  if (!add_all(model_.services()) || !add_all(model_.removed_services())) return std::nullopt;
  if (const ChannelMapping* mapping = channel_.mapping()) {
    const uint64_t resumed = worker_counters(*mapping)[static_cast<size_t>(channel::Counter::kFlowsResumed)];
    out.created -= std::min(out.created, resumed);
  }
  return out;
}

FlowCounts Controller::flow_counts() const {
  const auto now = [this](const auto& what) -> std::optional<uint64_t> {
    const auto figures = figures_of(channel_, what);
    return figures ? std::optional(figures->flows.flows_now) : std::nullopt;
  };
  return {now, now};
}

}  // namespace sluice::control
