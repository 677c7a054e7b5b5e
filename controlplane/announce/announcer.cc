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

/// The twins of the ports that face clients.
std::set<VipAddresses::Place> places_of(const config::Config& config) {
  std::set<VipAddresses::Place> out;
  if (config.announce.mode != config::AnnounceMode::kAddress) return out;
  for (const config::Port& port : config.dataplane.ports)
    if (port.faces != config::Faces::kBackends) out.insert({port.twin, config.announce.protocol});
  return out;
}

}  // namespace

Announcer::Announcer(boost::asio::io_context& io, const Model& model, Journal& journal,
                     const std::string& state_directory, Hooks hooks)
    : model_(model),
      hooks_(std::move(hooks)),
      announcement_(journal),
      node_(journal, state_directory),
      routes_(io, journal, state_directory),
      addresses_(io, journal, state_directory),
      step_(io) {}

void Announcer::start(const config::Config& config) {
  config_ = config.announce;
  announcement_.follow(config_);
  node_.restore();
  adopt(routes_.start(place_of(config_)));
  adopt(addresses_.start(places_of(config)));
}

void Announcer::stop() {
  step_.cancel();
  routes_.stop();
  addresses_.stop();
}

void Announcer::follow(const config::Config& config) {
  config_ = config.announce;
  announcement_.follow(config_);
  routes_.follow(place_of(config_));
  addresses_.follow(places_of(config));
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
  addresses_.want(wanted_addresses());
  wait_for_step();
}

void Announcer::tick() {
  if (node_.tick(hooks_.flows())) update();
  routes_.tick();
  addresses_.tick();
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

void Announcer::adopt(const std::set<config::IpAddress>& addresses) {
  const VipState state = node_.wish() ? VipState::kDraining : VipState::kAnnounced;
  for (const config::IpAddress& vip : addresses) announcement_.adopt(vip, state, true, Announcement::Clock::now());
}

std::set<VipRoute> Announcer::wanted_routes() const {
  std::set<VipRoute> out;
  if (config_.mode != config::AnnounceMode::kRoutes) return out;
  for (const auto& [address, vip] : announcement_.vips())
    if (const auto metric = announcement_.metric_of(vip.state)) out.insert({address, *metric});
  return out;
}

VipAddresses::Wanted Announcer::wanted_addresses() const {
  VipAddresses::Wanted out;
  if (config_.mode != config::AnnounceMode::kAddress) return out;
  for (const auto& [address, vip] : announcement_.vips()) out.emplace(address, vip.state != VipState::kWithdrawn);
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
  VipAddresses addresses(io, journal, config.control.state);
  addresses.start(places_of(config));
  addresses.want({});
  const std::string& fault = routes.fault().empty() ? addresses.fault() : routes.fault();
  if (fault.empty()) return {};
  return std::unexpected(fault);
}

}  // namespace sluice::control
