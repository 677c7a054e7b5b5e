// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/announcer.h"

#include <utility>

#include "controlplane/announce/facts.h"

namespace sluice::control {

namespace {

std::optional<VipRoutes::Place> place_of(const config::Announce& config) {
  if (config.mode != config::AnnounceMode::kRoutes) return std::nullopt;
  return VipRoutes::Place{config.table, config.protocol};
}

}  // namespace

Announcer::Announcer(boost::asio::io_context& io, const Model& model, Journal& journal,
                     const std::string& state_directory, Hooks hooks)
    : model_(model),
      hooks_(std::move(hooks)),
      announcement_(journal),
      node_(journal, state_directory),
      routes_(io, journal, state_directory),
      step_(io) {}

void Announcer::start(const config::Announce& config) {
  config_ = config;
  announcement_.follow(config);
  node_.restore();
  adopt(routes_.start(place_of(config)));
}

void Announcer::stop() {
  step_.cancel();
  routes_.stop();
}

void Announcer::follow(const config::Announce& config) {
  config_ = config;
  announcement_.follow(config);
  routes_.follow(place_of(config));
  update();
}

void Announcer::update() {
  auto fault = hooks_.fault();
  if (!fault) return;
  const NodeFacts facts{.fault = std::move(*fault),
                        .draining = node_.wish().has_value(),
                        .out = node_.phase() == NodeDrain::Phase::kOut,
                        .vips = vip_facts(model_, config_.require)};
  announcement_.update(facts, Announcement::Clock::now());
  routes_.want(wanted_routes());
  wait_for_step();
}

void Announcer::tick() {
  if (node_.tick(hooks_.flows())) update();
  routes_.tick();
}

std::expected<std::string, std::string> Announcer::drain(std::optional<std::chrono::seconds> deadline) {
  auto done = node_.drain(deadline);
  update();
  return done;
}

std::expected<std::string, std::string> Announcer::undrain() {
  auto done = node_.undrain();
  update();
  return done;
}

void Announcer::adopt(const std::set<VipRoute>& routes) {
  std::set<config::IpAddress> seen;
  for (const VipRoute& route : routes) {
    if (!seen.insert(route.vip).second) continue;  // of two metrics the lower counts
    const VipState state = route.metric == config_.draining_metric ? VipState::kDraining : VipState::kAnnounced;
    const bool in_service = state == VipState::kAnnounced || node_.wish().has_value();
    announcement_.adopt(route.vip, state, in_service, Announcement::Clock::now());
  }
}

std::set<VipRoute> Announcer::wanted_routes() const {
  std::set<VipRoute> out;
  if (config_.mode != config::AnnounceMode::kRoutes) return out;
  for (const auto& [address, vip] : announcement_.vips())
    if (const auto metric = announcement_.metric_of(vip.state)) out.insert({address, *metric});
  return out;
}

void Announcer::wait_for_step() {
  const auto due = announcement_.next_step();
  if (!due) {
    step_.cancel();
    return;
  }
  step_.expires_at(*due);
  step_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) update();
  });
}

std::expected<void, std::string> withdraw_all(const config::Config& config) {
  boost::asio::io_context io;
  Journal journal = Journal::silent(std::chrono::system_clock::now);
  VipRoutes routes(io, journal, config.control.state);
  routes.start(place_of(config.announce));
  routes.want({});
  if (routes.fault().empty()) return {};
  return std::unexpected(routes.fault());
}

}  // namespace sluice::control
