// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/sampler.h"

#include <chrono>

namespace sluice::control {

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

void read_all(History& history, const Model& model, const ChannelClient& channel, History::Time now) {
  history.begin(now);
  std::optional<Totals> all;
  for (const ServiceState& service : model.services()) {
    const auto totals = totals_of(channel, service);
    add_to(all, totals);
    history.read(subject_of(service), totals);
  }
  history.read(kAllServices, all);
  std::vector<std::optional<Totals>> members;
  members.reserve(model.members().size());
  for (const Member& member : model.members()) {
    members.push_back(totals_of(channel, member));
    history.read(subject_of(member), members.back());
  }
  for (const Placement& placement : model.placements()) {
    std::optional<Totals> sum;
    for (const size_t i : placement.members) add_to(sum, members[i]);
    history.read(subject_of(placement), sum);
  }
  history.end();
}

Sampler::Sampler(boost::asio::io_context& io, const Model& model, const ChannelClient& channel)
    : model_(model), channel_(channel), timer_(io) {}

void Sampler::start() {
  timer_.expires_after(std::chrono::seconds(0));
  wait();
}

void Sampler::wait() {
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    read_all(history_, model_, channel_, std::chrono::steady_clock::now());
    timer_.expires_at(std::max(timer_.expiry() + kInterval, std::chrono::steady_clock::now()));
    wait();
  });
}

}  // namespace sluice::control
