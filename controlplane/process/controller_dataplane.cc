// SPDX-License-Identifier: Apache-2.0
//
// The data plane comes and goes: what control does then.
#include <fmt/format.h>

#include <utility>

#include "controlplane/channel/in_use.h"
#include "controlplane/channel/published_ports.h"
#include "controlplane/process/controller.h"

namespace sluice::control {

void Controller::on_connected(uint32_t workers) {
  dataplane_ = {true, "", journal_.now()};
  heard_of_dataplane_ = true;
  take_up_waiting_dataplane();
  ports_.look();
  recognise();
  const KnownKeys there = channel_.known();
  const size_t members = model_.members().size();
  const size_t known = model_.meet(there);
  if (model_.members().size() != members) members_have_changed();
  verdicts_.presume(there.backends);
  if (!published_) dataplane_is_blank_ = there.backends.empty();
  journal_.record(Severity::kInfo, "dataplane", "channel",
                  fmt::format("connected, {} worker{}; it knows {} of {} backends", workers, workers == 1 ? "" : "s",
                              known, model_.members().size()));
  verdicts_.on_channel(true, "");
  publish_anew();
}

void Controller::recognise() {
  if (std::exchange(has_met_, true)) return;  // from then on, it knows what we have told it
  const bool changed = model_.recognise(in_use(*channel_.mapping()), given_up_);
  given_up_.clear();
  if (!changed) return;
  local_addresses_.presume(model_.local_addresses());
  local_addresses_.follow(config_);
  members_have_changed();
}

bool Controller::runs_our_dataplane(const std::vector<config::Port>& ports) const {
  return channel_.mapping() != nullptr && runs_with(ports, published_ports(*channel_.mapping()));
}

void Controller::take_up_waiting_dataplane() {
  const uint64_t start_ms = channel_.mapping()->stats_header().start_time_ms;
  const bool has_restarted = std::exchange(dataplane_start_ms_, start_ms) != start_ms;
  if (!has_restarted || !waiting_dataplane_ || !runs_our_dataplane(waiting_dataplane_->dataplane.ports)) return;
  config_.dataplane = std::move(waiting_dataplane_->dataplane);
  config_.fleet.node = std::move(waiting_dataplane_->fleet.node);
  config_.fleet.peers = std::move(waiting_dataplane_->fleet.peers);
  waiting_dataplane_.reset();
  ports_.follow(config_.dataplane.ports);
  router_follower_.follow(config_.dataplane.ports);
  local_addresses_.follow(config_);
  announcer_.follow(config_);
  journal_.record(Severity::kInfo, "control", "reload", "the data plane has restarted with what waited for it");
}

void Controller::on_disconnected(const std::string& reason) {
  verdicts_.on_channel(false, reason);
  dataplane_ = {false, reason, journal_.now()};
  heard_of_dataplane_ = true;
  journal_.record(Severity::kWarning, "dataplane", "channel", "not connected: " + reason);
  announcer_.update();
}

}  // namespace sluice::control
