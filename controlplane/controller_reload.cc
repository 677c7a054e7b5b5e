// SPDX-License-Identifier: Apache-2.0
//
// Going over to another configuration while packets flow. First everything that can fail, then the change, in one turn
// of the event loop; the data plane gets it as one aim.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "controlplane/controller.h"
#include "controlplane/figures.h"
#include "controlplane/log.h"

namespace sluice::control {

namespace {

std::vector<std::string> faults_of(const LoadedConfig& loaded) {
  std::vector<std::string> out;
  if (!loaded) {
    for (const config::Fault& fault : loaded.error()) out.push_back(fault.to_string());
  } else if (std::string fault = table_memory_fault(*loaded); !fault.empty()) {
    out.push_back(std::move(fault));
  }
  return out;
}

}  // namespace

Reloaded Controller::compare(const LoadedConfig& wanted) const {
  if (auto faults = faults_of(wanted); !faults.empty()) return std::unexpected(std::move(faults));
  return plan_reload(config_, *wanted, model_, flow_counts(), journal_.now());
}

Reloaded Controller::reload() {
  const Clock::time_point began = Clock::now();
  auto wanted = config::load(configuration_.path);
  Reloaded plan = compare(wanted);
  if (!plan) return refuse(std::move(plan.error()));
  config::Config next = without_restart(config_, std::move(*wanted));
  Model model(next, journal_);
  model.take_over(model_);
  if (const auto set = prober_.set_targets(targets_of(next, model)); !set) return refuse({set.error()});
  adopt(std::move(next), std::move(model));
  configuration_.loaded = journal_.now();
  configuration_.last_attempt = configuration_.loaded;
  configuration_.fault.clear();
  journal_.record(Severity::kInfo, "control", "reload", plan->summary());
  something_changed(began);
  return plan;
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
  model_ = std::move(model);
  index_members();
  std::erase_if(held_, [this](const auto& held) { return !members_by_address_.contains(held.first); });
  take_verdicts();
  overrides_.apply();
  steering_.follow(config_);
  local_addresses_.follow(config_);
  neighbors_.follow(addresses());
}

void Controller::take_verdicts() {
  for (const auto& [key, member] : member_by_key_) {
    const auto state = prober_.state(key);
    if (!state || state->health == health::Health::kUnknown) continue;
    const Health health = to_ours(state->health);
    if (holding_ && health == Health::kDown) continue;
    if (model_.members()[member].health != health) model_.set_health(member, health, state->reason);
  }
}

FlowCounts Controller::flow_counts() const {
  const auto now = [this](const auto& what) -> std::optional<uint64_t> {
    const auto figures = figures_of(channel_, what);
    return figures ? std::optional(figures->flows.flows_now) : std::nullopt;
  };
  return {now, now};
}

}  // namespace sluice::control
