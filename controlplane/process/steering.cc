// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/steering.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace sluice::control {

using channel::SmtpCounter;

namespace {

std::string backend_name(const std::string& pool, const std::string& name) {
  return pool + "/" + name;
}

}  // namespace

PassiveSample passive_sample(const channel::SmtpCounters& totals) {
  return {.connected = count_of(totals.connect),
          .failed = totals[SmtpCounter::kConnectRefused] + totals[SmtpCounter::kConnectTimeout],
          .soft = totals[SmtpCounter::kGreeting4xx] + totals[SmtpCounter::kGreeting421] +
                  totals[SmtpCounter::kMidSession421],
          .refused = totals[SmtpCounter::kGreeting5xx],
          .greeting = totals.greeting};
}

Steering::Steering(boost::asio::io_context& io, Model& model, const ChannelClient& channel, Journal& journal,
                   std::function<void()> changed)
    : model_(model),
      channel_(channel),
      journal_(journal),
      changed_(std::move(changed)),
      timer_(io),
      agent_watch_(io.get_executor(), [this](const std::string& backend, const health::AgentWatch::Result& result) {
        on_agent(backend, result);
      }) {}

void Steering::follow(const config::Config& config) {
  follow_agents(config);
  follow_groups(config);
  wait();
}

void Steering::stop() {
  timer_.cancel();
  agent_watch_.set_targets({});
}

void Steering::follow_agents(const config::Config& config) {
  auto before = std::exchange(agents_, {});
  std::vector<health::AgentTarget> targets;
  for (const config::Pool& pool : config.pools) {
    for (const config::Backend& backend : pool.backends) {
      if (!backend.agent) continue;
      const std::string name = backend_name(pool.name, backend.name);
      const auto kept = before.extract(name);
      Agent& agent = agents_[name];
      if (kept) agent = std::move(kept.mapped());
      agent.expiry = pool.agent_interval * kAgentExpiryIntervals;
      agent.members.clear();
      targets.push_back({name, *backend.agent, pool.agent_interval});
    }
  }
  for (size_t i = 0; i < model_.members().size(); i++) {
    const Member& member = model_.members()[i];
    const auto agent = agents_.find(backend_name(member.pool, member.name));
    if (agent != agents_.end() && !member.removal) {
      agent->second.members.push_back(i);
    } else {
      model_.set_factor(i, &Member::agent, {});
      model_.set_agent_max_connections(i, std::nullopt);
    }
  }
  for (const auto& [name, agent] : agents_) apply(agent);
  agent_watch_.set_targets(targets);
}

void Steering::follow_groups(const config::Config& config) {
  groups_.clear();
  std::set<std::tuple<std::string, uint16_t, std::string>> seen;
  std::unordered_set<uint64_t> judged;
  for (const Placement& placement : model_.placements()) {
    const config::Pool* pool = config.find_pool(placement.pool);
    if (pool == nullptr || !pool->passive.enabled) continue;
    if (!seen.emplace(placement.pool, placement.port, placement.check).second) continue;
    Group group{{pool->passive, pool->max_shed, pool->min_healthy}, {}, {}};
    for (const size_t member : placement.members)
      if (judged.insert(model_.members()[member].key).second) group.members.push_back(member);
    group.due = std::chrono::steady_clock::now() + pool->passive.interval;
    groups_.push_back(std::move(group));
  }
  judge_.keep_only(judged);
  std::erase_if(totals_, [&](const auto& each) { return !judged.contains(each.first); });
  for (size_t i = 0; i < model_.members().size(); i++)
    if (!judged.contains(model_.members()[i].key)) model_.set_factor(i, &Member::passive, {});
}

void Steering::on_agent(const std::string& backend, const health::AgentWatch::Result& result) {
  const auto known = agents_.find(backend);
  if (known == agents_.end()) return;
  Agent& agent = known->second;
  const std::string before = agent.standing.reason();
  if (result) {
    if (!agent.fault.empty()) journal_.record(Severity::kInfo, "agent", backend, "answers again");
    agent.fault.clear();
    agent.standing.on_reply(*result, journal_.now());
  } else {
    if (agent.fault != result.error()) journal_.record(Severity::kWarning, "agent", backend, result.error());
    agent.fault = result.error();
    agent.standing.on_failure(result.error(), agent.expiry, journal_.now());
  }
  if (agent.standing.reason() != before) apply(agent);
}

void Steering::apply(const Agent& agent) {
  for (const size_t member : agent.members) {
    set_factor(member, &Member::agent, "agent", {agent.standing.share(), agent.standing.reason()});
    if (model_.set_agent_max_connections(member, agent.standing.max_connections())) changed_();
  }
}

void Steering::wait() {
  if (groups_.empty()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::ranges::min_element(groups_, {}, &Group::due)->due);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) tick();
  });
}

void Steering::tick() {
  const auto now = std::chrono::steady_clock::now();
  for (Group& group : groups_) {
    if (group.due > now) continue;
    judge(group);
    group.due = now + group.rules.settings.interval;
  }
  wait();
}

void Steering::judge(Group& group) {
  std::vector<PassiveJudge::Subject> subjects;
  std::unordered_map<uint64_t, size_t> by_key;
  for (const size_t i : group.members) {
    const Member& member = model_.members()[i];
    const PassiveSample sample = sample_of(member);  // taken even if unused: the next one counts from here
    WeightFactors factors = member.factors();
    factors.passive = 1;
    const double weight = effective_weight(factors);
    if (weight <= 0 || !member.is_usable()) continue;
    subjects.push_back({member.key, weight, sample});
    by_key.emplace(member.key, i);
  }
  for (PassiveJudge::Decision& decision : judge_.judge(group.rules, subjects, std::chrono::steady_clock::now())) {
    const size_t member = by_key.at(decision.key);
    if (decision.before == decision.factor)
      journal_.record(Severity::kWarning, "backend", model_.members()[member].label(),
                      "weight is left alone: " + decision.reason);
    set_factor(member, &Member::passive, "passive", {decision.factor, std::move(decision.reason)});
  }
}

PassiveSample Steering::sample_of(const Member& member) {
  const auto figures = figures_of(channel_, member);
  if (!figures) return {};
  const PassiveSample now = passive_sample(figures->smtp);
  const auto [at, first] = totals_.try_emplace(member.key, now);
  const PassiveSample sample = difference(now, at->second);
  at->second = now;
  return sample;
}

void Steering::set_factor(size_t member, Factor Member::* which, const char* name, Factor factor) {
  const Factor before = model_.members()[member].*which;
  if (before == factor) return;
  if (before.value != factor.value)
    journal_.record(factor.value < before.value ? Severity::kWarning : Severity::kInfo, "backend",
                    model_.members()[member].label(),
                    fmt::format("weight factor {} {:.3g} -> {:.3g}: {}", name, before.value, factor.value,
                                factor.reason.empty() ? "not asked any more" : factor.reason));
  if (model_.set_factor(member, which, std::move(factor))) changed_();
}

}  // namespace sluice::control
