// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/verdicts.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>

namespace sluice::control {

using health::Evidence;
using namespace std::chrono_literals;

namespace {

constexpr auto kTick = 500ms;

/// Evaluations may take one part in so many of the time.
constexpr int kShareOfTime = 10;

bool is_serving(const Member& member) {
  return member.admin == Admin::kEnabled && member.agent.value > 0 && member.weight_by_hand.value_or(member.weight) > 0;
}

Verdicts::Clock::duration duration_of(const health::Verdict& verdict) {
  std::chrono::microseconds sum{0};
  for (const health::StepTime& step : verdict.times) sum += std::chrono::microseconds(step.us);
  return sum;
}

std::optional<NextHop> hop_of(const Reachability& reachability) {
  return reachability ? std::optional(*reachability) : std::nullopt;
}

}  // namespace

Verdicts::Verdicts(boost::asio::io_context& io, Model& model, health::Prober& prober, Journal& journal, Hooks hooks)
    : io_(io), model_(model), prober_(prober), journal_(journal), hooks_(std::move(hooks)), soon_(io), tick_(io) {}

void Verdicts::follow(const config::Config& config) {
  config_ = &config;
  member_by_key_.clear();
  members_by_address_.clear();
  news_.clear();
  packets_from_.clear();
  std::vector<Panic::Subject> subjects;
  for (size_t i = 0; i < model_.members().size(); i++) {
    const Member& member = model_.members()[i];
    member_by_key_.emplace(member.label(), i);
    members_by_address_[member.address].push_back(i);
    subjects.push_back({member.key, member.address});
  }
  panic_.follow(subjects, groups());
  applied_.clear();
  for (size_t i = 0; i < model_.members().size(); i++) {
    const Member& member = model_.members()[i];
    applied_.push_back({member.standing, member.standing_why, false});
    panic_.set_way(i, hop_of(member.next_hop), Clock::now());
    if (member.is_healthy()) panic_.presume_good(i);
    take_state(i);
  }
  review_interruptions();
  evaluate();
}

/// The placements; beside each who left the file, where others of its pool on its port are left, or of its pool. Who
/// left with its whole pool is one group with the others of it.
std::vector<Panic::Group> Verdicts::groups() const {
  std::vector<Panic::Group> out;
  std::map<std::string, size_t> by_pool;
  std::map<std::pair<std::string, uint16_t>, size_t> by_port;
  const std::vector<Member>& members = model_.members();
  for (const Placement& placement : model_.placements()) {
    const config::Pool* pool = config_->find_pool(placement.pool);
    Panic::Group group{.members = placement.members, .beside = {}};
    if (pool != nullptr) group.share = pool->panic_share;
    if (pool != nullptr) group.hold = pool->panic_hold;
    if (!group.members.empty()) by_pool.emplace(placement.pool, out.size());
    for (const size_t i : group.members) by_port.emplace(std::pair{members[i].pool, members[i].port}, out.size());
    out.push_back(std::move(group));
  }
  const size_t placed = out.size();
  for (size_t i = 0; i < members.size(); i++) {
    if (!members[i].removal) continue;
    const auto at_port = by_port.find({members[i].pool, members[i].port});
    const auto known = by_pool.emplace(members[i].pool, out.size());
    if (known.second) out.emplace_back();
    const size_t group = at_port == by_port.end() ? known.first->second : at_port->second;
    (group < placed ? out[group].beside : out[group].members).push_back(i);
  }
  return out;
}

/// What a mail server says in open sessions shows that it lives, whatever becomes of new connections.
void Verdicts::listen_to_sessions(Clock::time_point now) {
  std::erase_if(packets_from_, [this](const auto& entry) { return !panic_.is_silent(entry.first); });
  for (size_t i = 0; i < applied_.size(); i++) {
    if (!panic_.is_silent(i)) continue;
    const auto packets = hooks_.packets_from(model_.members()[i]);
    if (!packets) continue;
    const auto [before, is_first] = packets_from_.try_emplace(i, *packets);
    if (!is_first && *packets > before->second) panic_.on_host_heard(i, now);
    before->second = *packets;
  }
}

void Verdicts::take_state(size_t index) {
  const Member& member = model_.members()[index];
  const auto state = prober_.state(member.label());
  const bool known = state && state->health != health::Health::kUnknown;
  panic_.set_down(index, known && state->health == health::Health::kDown, Clock::now());
  if (!state) panic_.trust(index);
  if (known && state->health != member.health) news_[index].found = {state->health, state->reason};
}

void Verdicts::start() {
  prober_.set_on_change([this](const std::string& key, const health::Change& change) { on_health(key, change); });
  prober_.set_on_result([this](const std::string& key, const health::Verdict& verdict) { on_probed(key, verdict); });
  prober_.set_on_heard([this](const std::string& key) { on_heard(key); });
  review_interruptions();
  tick();
}

void Verdicts::stop() {
  prober_.set_on_change({});
  prober_.set_on_result({});
  prober_.set_on_heard({});
  soon_.cancel();
  tick_.cancel();
}

void Verdicts::flush() {
  if (due_) evaluate();
}

void Verdicts::on_channel(bool connected, const std::string& why) {
  channel_fault_ = connected ? "" : "the data plane is not connected: " + why;
  review_interruptions();
  something_new();
}

void Verdicts::presume(const std::unordered_set<uint64_t>& keys) {
  for (size_t i = 0; i < model_.members().size(); i++)
    if (keys.contains(model_.members()[i].key)) panic_.presume_good(i);
}

void Verdicts::on_way(const std::string& port, WaySource source, bool up, const std::string& why) {
  const std::pair key{port, source};
  const bool was_up = !port_faults_.contains(key);
  if (up) port_faults_.erase(key);
  if (!up) port_faults_[key] = why;
  if (was_up != up)
    journal_.record(up ? Severity::kInfo : Severity::kError, "port", port,
                    why + (up ? ": its backends are checked anew" : ": its backends go on as before"));
  review_interruptions();
  something_new();
}

std::string Verdicts::interruption_of(const Member& member) const {
  if (!channel_fault_.empty()) return channel_fault_;
  if (!member.last_way) return "";
  const std::vector<config::Port>& ports = config_->dataplane.ports;
  const auto port = std::ranges::find(ports, member.last_way->twin, &config::Port::twin);
  if (port == ports.end()) return "";
  for (const WaySource source : {WaySource::kTwin, WaySource::kCard})
    if (const auto fault = port_faults_.find({port->name, source}); fault != port_faults_.end()) return fault->second;
  return "";
}

void Verdicts::review_interruptions() {
  for (size_t i = 0; i < applied_.size(); i++) {
    const Member& member = model_.members()[i];
    const std::string why = interruption_of(member);
    if (!why.empty()) {
      panic_.interrupt(i, why, Clock::now());
      prober_.suspend(member.label());
    } else if (applied_[i].interrupted) {
      panic_.restore(i, Clock::now());
      if (member.check.empty()) panic_.trust(i);
      prober_.start_over(member.label());
    }
    applied_[i].interrupted = !why.empty();
  }
}

void Verdicts::on_reachability(const config::IpAddress& address, const Reachability& reachability) {
  const auto members = members_by_address_.find(address);
  if (members == members_by_address_.end()) return;
  for (const size_t i : members->second) {
    const Member& member = model_.members()[i];
    const bool returns = reachability && !member.next_hop && member.last_way;
    panic_.set_way(i, hop_of(reachability), Clock::now());
    if (member.check.empty()) panic_.trust(i);
    news_[i].next_hop = reachability;
    // What was found out before says how the way was, not how the backend is.
    if (returns && !applied_[i].interrupted) prober_.start_over(member.label());
  }
  something_new();
}

void Verdicts::on_health(const std::string& key, const health::Change& change) {
  const auto member = member_by_key_.find(key);
  if (member == member_by_key_.end()) return;
  panic_.set_down(member->second, change.to == health::Health::kDown, Clock::now());
  news_[member->second].found = {change.to, change.reason};
  something_new();
}

Evidence Verdicts::evidence_of(size_t index, const health::Verdict& verdict) const {
  const Member& member = model_.members()[index];
  const config::Check* check = config_->find_check(member.check);
  if (check == nullptr || health::outcome_of(verdict.fact, check->on_soft) != health::Outcome::kFail)
    return Evidence::kNone;
  switch (verdict.evidence) {
    case Evidence::kRefused:
      // Another port than the traffic's is another server's.
      return check->port.value_or(member.port) == member.port ? Evidence::kRefused : Evidence::kJudged;
    case Evidence::kUnanswered:
      // Where no route leads there, the silence is ours.
      return hooks_.has_route(member.address) ? Evidence::kUnanswered : Evidence::kJudged;
    case Evidence::kCertificate:
      return Evidence::kCertificate;
    default:
      return Evidence::kJudged;
  }
}

void Verdicts::on_probed(const std::string& key, const health::Verdict& verdict) {
  const auto known = member_by_key_.find(key);
  if (known == member_by_key_.end()) return;
  const size_t index = known->second;
  const config::Check* check = config_->find_check(model_.members()[index].check);
  if (check != nullptr && verdict.certificate) model_.set_certificate(index, verdict, check->server_name);
  if (check != nullptr && check->type == config::CheckType::kStarttls) model_.set_starttls(index, verdict);
  note_not_run(index, key, verdict);
  if (verdict.fact == health::Fact::kNotRun) return;
  const Evidence evidence = evidence_of(index, verdict);
  if (!verdict.counts && evidence != Evidence::kNone) return;
  const bool was_quiet = panic_.is_quiet();
  const auto now = Clock::now();
  panic_.on_result(index, {evidence, now - duration_of(verdict), verdict.settled}, now);
  if (!was_quiet || evidence != Evidence::kNone) something_new();
}

void Verdicts::on_heard(const std::string& key) {
  const auto member = member_by_key_.find(key);
  if (member == member_by_key_.end()) return;
  panic_.on_heard(member->second, Clock::now());
  if (!panic_.is_quiet()) something_new();
}

void Verdicts::note_not_run(size_t index, const std::string& key, const health::Verdict& verdict) {
  const Member& member = model_.members()[index];
  if (verdict.fact != health::Fact::kNotRun) {
    if (!member.not_run.empty()) model_.set_not_run(index, "");
    return;
  }
  const auto state = prober_.state(key);
  const config::Check* check = config_->find_check(member.check);
  if (state && check != nullptr && state->not_run >= check->fall) model_.set_not_run(index, verdict.detail);
}

void Verdicts::something_new() {
  if (due_) return;
  due_ = true;
  const auto now = cause_ = Clock::now();
  // What became known in one turn of the loop is judged together; and where there is much of it, not too often.
  if (now >= next_allowed_) {
    boost::asio::post(io_, [this] { evaluate(); });
    return;
  }
  soon_.expires_at(next_allowed_);
  soon_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) evaluate();
  });
}

void Verdicts::evaluate() {
  const auto began = Clock::now();
  const Clock::time_point cause = std::exchange(due_, false) ? cause_ : began;
  for (size_t i = 0; i < applied_.size(); i++) panic_.set_serving(i, is_serving(model_.members()[i]));
  listen_to_sessions(began);
  panic_.evaluate(began);
  const bool is_news = !news_.empty();
  bool matters = apply_all();
  if (is_news && !port_faults_.empty()) review_interruptions();  // a next hop tells whose port it is
  matters |= tell_panics();
  for (const size_t i : panic_.take_restarted()) prober_.start_over(model_.members()[i].label());
  for (const size_t i : panic_.take_hurried()) prober_.hurry(model_.members()[i].label());
  const auto ended = Clock::now();
  next_allowed_ = ended + kShareOfTime * (ended - began);
  if (is_news || matters) hooks_.changed(cause, matters);
  const bool was_awaiting = awaiting_;
  awaiting_ = false;
  for (size_t i = 0; i < applied_.size(); i++) awaiting_ |= applied_[i].interrupted || panic_.is_awaited(i);
  if (was_awaiting && !awaiting_) hooks_.calm();
}

bool Verdicts::apply_all() {
  bool matters = false;
  const auto news = std::exchange(news_, {});
  for (size_t i = 0; i < applied_.size(); i++) {
    const auto fresh = news.find(i);
    const Standing standing = panic_.standing(i);
    const std::string& why = panic_.why(i);
    if (fresh == news.end() && standing == applied_[i].standing && why == applied_[i].why) continue;
    Judgement judgement{.found = {}, .next_hop = {}, .standing = standing, .why = why};
    if (fresh != news.end()) {
      judgement.found = fresh->second.found;
      judgement.next_hop = fresh->second.next_hop;
    }
    matters |= model_.judge(i, std::move(judgement));
    applied_[i].standing = standing;
    applied_[i].why = why;
  }
  return matters;
}

bool Verdicts::tell_panics() {
  bool changed = false;
  for (size_t g = 0; g < model_.placements().size(); g++) {
    const auto state = panic_.state(g);
    const std::optional<PoolPanic>& told = model_.placements()[g].panic;
    if (!state) {
      changed |= told.has_value();
      if (told) model_.set_panic(g, std::nullopt);
      continue;
    }
    const config::Pool* pool = config_->find_pool(model_.placements()[g].pool);
    PoolPanic panic{.why = state->why, .end = {}, .until = {}, .since = journal_.now()};
    if (state->until)
      panic.until = journal_.now() + std::chrono::ceil<std::chrono::seconds>(*state->until - Clock::now());
    // Told once and then left alone, but for what it is about.
    if (told && told->why == panic.why && told->until.has_value() == panic.until.has_value()) continue;
    panic.end = end_of(*state, pool == nullptr ? 1 : pool->panic_share);
    model_.set_panic(g, std::move(panic));
    changed = true;
  }
  return changed;
}

std::string Verdicts::end_of(const Panic::State& state, double share) const {
  const auto most = static_cast<size_t>(std::floor(share * static_cast<double>(state.counted)));
  std::string by_recovery = fmt::format("ends when no more than {} of {} fails", most, state.counted);
  if (!state.until) return by_recovery;
  const auto left = std::chrono::ceil<std::chrono::seconds>(*state.until - Clock::now());
  return fmt::format("{}, or at {:%H:%M:%S} UTC, when those that are proven dead are given up", by_recovery,
                     fmt::gmtime(std::chrono::system_clock::to_time_t(journal_.now() + left)));
}

void Verdicts::tick() {
  tick_.expires_after(kTick);
  tick_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    if (!panic_.is_quiet()) something_new();
    tick();
  });
}

}  // namespace sluice::control
