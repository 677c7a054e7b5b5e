// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/prober.h"

#include <algorithm>
#include <random>
#include <unordered_set>
#include <utility>

#include "healthcheck/schedule.h"

namespace sluice::health {

namespace {

std::function<double()> system_random() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>()(engine);
  };
}

bool uses_tls(config::CheckType type) {
  return type == config::CheckType::kStarttls || type == config::CheckType::kSmtps;
}

/// What the targets of one check share.
struct Compiled {
  Plan plan;
  TlsContext tls;
};

std::expected<Compiled, std::string> compile(const config::Check& check) {
  auto plan = Plan::compile(check);
  if (!plan) return std::unexpected(plan.error());
  Compiled compiled{.plan = std::move(*plan)};
  if (!uses_tls(check.type)) return compiled;
  auto tls = make_tls_context(check);
  if (!tls) return std::unexpected(tls.error());
  compiled.tls = *tls;
  return compiled;
}

/// Compiles each check once, by name.
class Compiler {
 public:
  std::expected<const Compiled*, std::string> get(const config::Check& check) {
    if (const auto found = compiled_.find(check.name); found != compiled_.end()) {
      if (found->second.plan.check == check) return &found->second;
      return std::unexpected("check \"" + check.name + "\" is given with two different settings");
    }
    auto compiled = compile(check);
    if (!compiled) return std::unexpected(compiled.error());
    return &compiled_.emplace(check.name, std::move(*compiled)).first->second;
  }

 private:
  std::map<std::string, Compiled> compiled_;
};

}  // namespace

struct Prober::Entry {
  std::shared_ptr<const ProbeSettings> settings;
  std::vector<std::string> keys;
};

Prober::Prober(boost::asio::any_io_executor executor, ProberOptions options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      matcher_(std::make_shared<Matcher>()),
      refusals_(std::make_shared<IcmpRefusals>()) {
  if (!options_.random) options_.random = system_random();
  if (!options_.wall_clock) options_.wall_clock = [] { return std::chrono::system_clock::now(); };
}

Prober::~Prober() {
  for (const auto& [id, watch] : watches_) watch->retire();
}

std::expected<void, std::string> Prober::set_targets(const std::vector<Target>& targets) {
  auto entries = prepare_entries(targets);
  if (!entries) return std::unexpected(entries.error());
  commit(std::move(*entries));
  return {};
}

std::expected<Prober::Entries, std::string> Prober::prepare_entries(const std::vector<Target>& targets) const {
  Compiler compiler;
  Entries entries;
  std::unordered_set<std::string> keys;
  for (const Target& target : targets) {
    if (!keys.insert(target.key).second) return std::unexpected("target \"" + target.key + "\" is given twice");
    const auto compiled = compiler.get(target.check);
    if (!compiled) return std::unexpected(compiled.error());
    const std::string& name = target.certificate_name.empty() ? target.check.server_name : target.certificate_name;
    Entry& entry = entries[{target.address, target.port, target.check.name, name}];
    entry.keys.push_back(target.key);
    if (entry.settings) continue;
    entry.settings = std::make_shared<ProbeSettings>(ProbeSettings{.address = target.address,
                                                                   .port = target.port,
                                                                   .certificate_name = name,
                                                                   .plan = (*compiled)->plan,
                                                                   .tls = (*compiled)->tls,
                                                                   .matcher = matcher_,
                                                                   .refusals = refusals_,
                                                                   .wall_clock = options_.wall_clock});
  }
  return entries;
}

void Prober::commit(Entries entries) {
  Listener& listener = *this;
  auto before = std::exchange(watches_, {});
  by_key_.clear();
  std::vector<std::pair<std::shared_ptr<Watch>, const config::Check*>> added;
  for (auto& [id, entry] : entries) {
    std::shared_ptr<Watch> watch;
    if (auto kept = before.extract(id)) {
      watch = kept.mapped();
      watch->update(entry.settings);
    } else {
      watch = std::make_shared<Watch>(executor_, entry.settings, listener);
      added.emplace_back(watch, &entry.settings->plan.check);
    }
    for (const std::string& key : entry.keys) by_key_.emplace(key, watch);
    watch->set_keys(std::move(entry.keys));
    watches_.emplace(id, std::move(watch));
  }
  std::erase_if(retired_, [](const std::weak_ptr<Watch>& watch) { return watch.expired(); });
  for (const auto& [id, watch] : before) {
    watch->retire();
    retired_.push_back(watch);
  }
  for (size_t i = 0; i < added.size(); i++) added[i].first->start(initial_delay(i, added.size(), *added[i].second));
}

bool Prober::says_farewell() const {
  return std::ranges::any_of(retired_, [](const std::weak_ptr<Watch>& retired) {
    const auto watch = retired.lock();
    return watch && watch->is_probing();
  });
}

std::expected<void, std::string> Prober::check_now(const std::string& key, OnReport on_report) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::unexpected("nothing is checked under the name \"" + key + "\"");
  if (!found->second->check_now(std::move(on_report)))
    return std::unexpected("too many wait for the next check of \"" + key + "\" already");
  return {};
}

std::chrono::microseconds Prober::next_gap() {
  constexpr std::chrono::microseconds kGap{200};
  const auto now = std::chrono::steady_clock::now();
  const auto begins = std::max(now, free_from_);
  free_from_ = begins + kGap;
  return std::chrono::duration_cast<std::chrono::microseconds>(begins - now);
}

void Prober::hurry(const std::string& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) found->second->hurry(next_gap());
}

void Prober::suspend(const std::string& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) found->second->suspend();
}

void Prober::start_over(const std::string& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) found->second->start_over(next_gap());
}

std::optional<TargetState> Prober::state(const std::string& key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  return found->second->state();
}

void Prober::on_change(const std::string& key, const Change& change) {
  if (tell_change_) tell_change_(key, change);
}

void Prober::on_result(const std::string& key, const Verdict& verdict) {
  if (tell_result_) tell_result_(key, verdict);
}

void Prober::on_heard(const std::string& key) {
  if (tell_heard_) tell_heard_(key);
}

}  // namespace sluice::health
