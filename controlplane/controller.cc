// SPDX-License-Identifier: Apache-2.0
#include "controlplane/controller.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <stdexcept>
#include <utility>

#include "controlplane/state_file.h"

namespace sluice::control {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kPatience = 5s;
constexpr auto kTick = 1s;  // of what operators set a time for
constexpr std::chrono::milliseconds kShortestHold = 2s;
constexpr std::chrono::milliseconds kLongestHold = 15s;

AccessRules access_rules(const config::Config& config) {
  std::vector<Token> tokens;
  if (!config.control.token_file.empty()) {
    auto token = Token::read(config.control.token_file);
    if (!token) throw std::runtime_error(token.error());
    tokens.push_back(std::move(*token));
  }
  return {config.control.http_names, std::move(tokens)};
}

}  // namespace

Health to_ours(health::Health health) {
  switch (health) {
    case health::Health::kUp:
      return Health::kUp;
    case health::Health::kSoft:
      return Health::kSoft;
    case health::Health::kDown:
      return Health::kDown;
    case health::Health::kUnknown:
      return Health::kUnknown;
  }
  return Health::kUnknown;
}

Controller::Controller(asio::io_context& io, config::Config config, std::string path)
    : io_(io),
      config_(std::move(config)),
      configuration_{std::move(path), std::chrono::system_clock::now(), {}, ""},
      journal_file_(config_.control.state + "/events.jsonl"),
      model_(config_, journal_),
      http_(io, router_, {}, access_rules(config_)),
      neighbors_(
          io, config_.dataplane.ports,
          [this](const config::IpAddress& address, const Reachability& reachability) {
            on_reachability(address, reachability);
          },
          [this](const std::string& fault) { journal_.record(Severity::kWarning, "control", "neighbours", fault); }),
      local_addresses_(io, [this](const std::vector<LocalAddress>& addresses) { on_local_addresses(addresses); }),
      prober_(io.get_executor()),
      channel_(
          io, config_.channel_socket(),
          {.connected = [this](uint32_t workers) { on_connected(workers); },
           .disconnected = [this](const std::string& reason) { on_disconnected(reason); },
           .fault =
               [this](const std::string& fault) { journal_.record(Severity::kError, "dataplane", "channel", fault); },
           .in_use =
               [](std::chrono::microseconds latency) {
                 spdlog::info("dataplane: change in use on every worker after {} us", latency.count());
               }},
          {}),
      overrides_(
          config_, model_, journal_, [this](const Member& member) { return flow_counts().of_member(member); },
          config_.control.state),
      tick_(io),
      steering_(io, model_, channel_, journal_, [this] { something_changed(); }),
      step_(io),
      patience_(io),
      hold_(io),
      sampler_(io, model_, channel_),
      flows_(io, channel_),
      taps_(io, channel_, config_.runtime_directory()),
      api_{config_, model_, channel_, journal_, dataplane_, journal_.now(), &sampler_.history(), &prober_, [this] {
             something_changed();
           }} {
  dataplane_.since = api_.started;
  api_.configuration = &configuration_;
  api_.overrides = &overrides_;
  api_.reload = [this] { return reload(); };
  api_.compare = [this](const LoadedConfig& wanted) { return compare(wanted); };
  api_.flows = &flows_;
  api_.taps = &taps_;
  index_members();
  add_api(router_, api_);
}

void Controller::start() {
  keep_journal();
  overrides_.restore();
  http_.listen(config_.control.api);
  if (!config_.control.http.empty()) http_.listen_tcp(config_.control.http);
  patience_.expires_after(kPatience);
  patience_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    out_of_patience_ = true;
    something_changed();
  });
  local_addresses_.follow(config_);
  local_addresses_.start();
  neighbors_.follow(addresses());
  neighbors_.start();
  start_checks();
  steering_.follow(config_);
  channel_.start();
  sampler_.start();
  journal_.record(Severity::kInfo, "control", config_.instance,
                  fmt::format("started, version {}: {} services, {} backends", SLUICE_VERSION, model_.services().size(),
                              model_.members().size()));
  tick();
  something_changed();
}

void Controller::stop() {
  journal_.record(Severity::kInfo, "control", config_.instance, "stopping; packets go by the last state");
  prober_.set_on_change({});
  prober_.set_on_result({});
  (void)prober_.set_targets({});
  http_.stop();
  neighbors_.stop();
  taps_.stop();
  local_addresses_.stop();
  channel_.stop();
  sampler_.stop();
  steering_.stop();
  step_.cancel();
  patience_.cancel();
  hold_.cancel();
  tick_.cancel();
}

void Controller::keep_journal() {
  const auto made = make_state_directory(config_.control.state);
  auto earlier = made ? journal_file_.open() : std::unexpected(made.error());
  if (!earlier) {
    journal_.record(Severity::kWarning, "control", "state",
                    "neither events nor changes by hand will outlive this process: " + earlier.error());
    return;
  }
  journal_.restore(std::move(*earlier), [this](const JournalEntry& entry) {
    const std::string fault = journal_file_.append(entry, journal_.entries());
    if (!fault.empty()) spdlog::error("{}", fault);
  });
}

void Controller::index_members() {
  member_by_key_.clear();
  members_by_address_.clear();
  for (size_t i = 0; i < model_.members().size(); i++) {
    const Member& member = model_.members()[i];
    member_by_key_.emplace(member.label(), i);
    members_by_address_[member.address].push_back(i);
  }
}

std::vector<health::Target> Controller::targets_of(const config::Config& config, const Model& model) {
  std::vector<health::Target> targets;
  for (const Member& member : model.members()) {
    const config::Check* check = config.find_check(member.check);
    if (check == nullptr) continue;
    targets.push_back({member.label(), member.address, check->port.value_or(member.port), *check});
  }
  return targets;
}

void Controller::start_checks() {
  prober_.set_on_change([this](const std::string& key, const health::Change& change) { on_health(key, change); });
  prober_.set_on_result([this](const std::string& key, const health::Verdict& verdict) { on_probed(key, verdict); });
  if (const auto set = prober_.set_targets(targets_of(config_, model_)); !set) throw std::runtime_error(set.error());
}

std::vector<config::IpAddress> Controller::addresses() const {
  std::vector<config::IpAddress> out;
  for (const auto& [address, members] : members_by_address_) out.push_back(address);
  return out;
}

void Controller::tick() {
  if (overrides_.tick()) something_changed();
  tick_.expires_after(kTick);
  tick_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) tick();
  });
}

void Controller::on_health(const std::string& key, const health::Change& change) {
  const auto member = member_by_key_.find(key);
  if (member == member_by_key_.end()) return;
  if (holding_ && change.to == health::Health::kDown) return;  // end_hold() asks again
  // Before the first publication every verdict counts: it may be the one that was waited for.
  if (model_.set_health(member->second, to_ours(change.to), change.reason) || !published_) something_changed();
}

void Controller::on_probed(const std::string& key, const health::Verdict& verdict) {
  const auto member = member_by_key_.find(key);
  if (member == member_by_key_.end() || !verdict.certificate) return;
  const config::Check* check = config_.find_check(model_.members()[member->second].check);
  if (check != nullptr) model_.set_certificate(member->second, verdict, check->server_name);
}

void Controller::on_reachability(const config::IpAddress& address, const Reachability& reachability) {
  held_.erase(address);
  if (holding_ && !reachability) {
    held_.emplace(address, reachability);
    return;
  }
  bool changed = false;
  const auto members = members_by_address_.find(address);
  if (members == members_by_address_.end()) return;
  for (const size_t member : members->second) changed |= model_.set_next_hop(member, reachability);
  if (changed || !published_) something_changed();
}

void Controller::on_local_addresses(const std::vector<LocalAddress>& addresses) {
  latest_addresses_ = addresses;
  std::vector<LocalAddress> believed;
  const std::vector<LocalAddress> none;
  std::ranges::set_union(addresses, holding_ ? model_.local_addresses() : none, std::back_inserter(believed));
  if (model_.set_local_addresses(std::move(believed)) || !published_) something_changed();
}

void Controller::on_connected(uint32_t workers) {
  dataplane_ = {true, "", journal_.now()};
  const size_t known = model_.presume(channel_.known_backends());
  if (!published_) dataplane_is_blank_ = known == 0;
  journal_.record(Severity::kInfo, "dataplane", "channel",
                  fmt::format("connected, {} worker{}; it knows {} of {} backends", workers, workers == 1 ? "" : "s",
                              known, model_.members().size()));
  begin_hold();
  something_changed();
}

void Controller::on_disconnected(const std::string& reason) {
  holding_ = true;
  hold_.cancel();
  dataplane_ = {false, reason, journal_.now()};
  journal_.record(Severity::kWarning, "dataplane", "channel", "not connected: " + reason);
}

void Controller::begin_hold() {
  std::chrono::milliseconds longest = kShortestHold;
  for (const config::Check& check : config_.checks) {
    const auto recovery = (check.rise + 1) * std::chrono::duration_cast<std::chrono::milliseconds>(check.fast_interval *
                                                                                                   (1 + check.jitter));
    longest = std::max(longest, recovery);
  }
  hold_.expires_after(std::min(longest, kLongestHold));
  hold_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) end_hold();
  });
}

void Controller::end_hold() {
  holding_ = false;
  for (const auto& [key, member] : member_by_key_) {
    const auto state = prober_.state(key);
    if (!state || state->health != health::Health::kDown) continue;
    model_.set_health(member, Health::kDown, state->last ? health::describe(*state->last) : state->reason);
  }
  for (auto& [address, reachability] : std::exchange(held_, {})) on_reachability(address, reachability);
  on_local_addresses(latest_addresses_);
  something_changed();
}

bool Controller::may_publish() const {
  return published_ || out_of_patience_ || dataplane_is_blank_ || model_.is_settled();
}

void Controller::something_changed(Clock::time_point cause) {
  const bool is_due = cause_.has_value();
  cause_ = is_due ? std::min(*cause_, cause) : cause;
  // Posted, so that everything that became known in this turn of the loop makes one publication.
  if (!is_due) asio::post(io_, [this] { refresh(); });
}

void Controller::refresh() {
  const Clock::time_point cause = *cause_;
  cause_.reset();
  if (!may_publish()) return;
  published_ = true;
  model_.refresh();
  wait_for_step();
  channel_.publish(model_.desired(), cause);
}

void Controller::wait_for_step() {
  const auto due = model_.next_step();
  if (!due) {
    step_.cancel();
    return;
  }
  step_.expires_after(std::max<SystemTime::duration>(*due - journal_.now(), 1ms));
  step_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) something_changed();
  });
}

}  // namespace sluice::control
