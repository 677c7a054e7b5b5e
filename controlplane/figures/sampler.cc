// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/sampler.h"

#include <algorithm>
#include <chrono>

namespace sluice::control {

using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kInterval{History::kFineSeconds};

template <typename Subject>
std::optional<Totals> totals_of(const ChannelClient& channel, const Subject& subject) {
  const auto figures = figures_of(channel, subject);
  return figures ? std::optional(Totals(*figures)) : std::nullopt;
}

/// `sum` with `part` added, where that is known.
void add_to(std::optional<Totals>& sum, const std::optional<Totals>& part) {
  if (!part) return;
  if (!sum) sum.emplace();
  *sum += *part;
}

}  // namespace

std::string subject_of(const ServiceState& service) {
  return "service " + service.config.name;
}

std::string subject_of(const Placement& placement) {
  return "pool " + placement.label();
}

std::string subject_of(const Member& member) {
  return "backend " + member.label();
}

HistoryReader::HistoryReader(History& history, const Model& model, const ChannelClient& channel)
    : history_(history), model_(model), channel_(channel) {}

void HistoryReader::begin(History::Time now) {
  now_ = now;
  composition_ = 0;  // no model's
}

bool HistoryReader::run(Clock::duration at_most) {
  if (composition_ != model_.composition()) {
    composition_ = model_.composition();
    history_.begin(now_);
    steps_ = steps();
  }
  if (!steps_.run(at_most)) return false;
  history_.end();
  return true;
}

Steps HistoryReader::steps() {
  all_.reset();
  members_.clear();
  members_.reserve(model_.members().size());
  Steps out;
  out.add(model_.services().size(), [this](size_t i) { read_service(model_.services()[i]); });
  out.add(1, [this](size_t) { history_.read(kAllServices, all_); });
  out.add(model_.members().size(), [this](size_t i) { read_member(model_.members()[i]); });
  out.add(model_.placements().size(), [this](size_t i) { read_placement(model_.placements()[i]); });
  return out;
}

void HistoryReader::read_service(const ServiceState& service) {
  const auto totals = totals_of(channel_, service);
  add_to(all_, totals);
  history_.read(subject_of(service), totals);
}

void HistoryReader::read_member(const Member& member) {
  members_.push_back(totals_of(channel_, member));
  history_.read(subject_of(member), members_.back());
}

void HistoryReader::read_placement(const Placement& placement) {
  std::optional<Totals> sum;
  for (const size_t i : placement.members) add_to(sum, members_[i]);
  history_.read(subject_of(placement), sum);
}

Sampler::Sampler(boost::asio::io_context& io, const Model& model, const ChannelClient& channel)
    : reader_(history_, model, channel), timer_(io) {}

void Sampler::start() {
  due_ = Clock::now();
  wait_until(due_);
}

void Sampler::wait_until(Clock::time_point when) {
  timer_.expires_at(when);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) take_turn();
  });
}

void Sampler::take_turn() {
  if (!reading_) reader_.begin(Clock::now());
  reading_ = !reader_.run(kTurn);
  if (!reading_) due_ = std::max(due_ + kInterval, Clock::now());
  wait_until(reading_ ? Clock::now() : due_);
}

}  // namespace sluice::control
