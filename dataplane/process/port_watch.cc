// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/port_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "dataplane/device/port_status.h"
#include "dataplane/process/steering_finding.h"

namespace sluice {
namespace {

/// Control reads at any time what main writes: whole words, in any order.
template <typename T, typename Value>
void store(T& to, Value value) {
  std::atomic_ref<T>(to).store(static_cast<T>(value), std::memory_order_relaxed);
}

std::string speed_text(const LinkState& link) {
  if (link.speed_mbps == 0) return "";
  const char* duplex = link.duplex == channel::Duplex::kHalf ? ", half duplex" : "";
  return fmt::format(", {} Mbit/s{}", link.speed_mbps, duplex);
}

}  // namespace

bool PortWatch::poll(uint64_t now_ms) {
  bool renewed = false;
  if (now_ms >= links_due_ms_) {
    links_due_ms_ = now_ms + kLinkPeriodMs;
    for (Port& port : ports_) renewed |= look_at_twin(port, now_ms);
    for (size_t i = 0; i < ports_.size(); i++) look_at_members(i);
    for (Port& port : ports_) look_at_link(port);
    looked_ = true;
  }
  if (now_ms < counters_due_ms_) return renewed;
  counters_due_ms_ = now_ms + kCounterPeriodMs;
  for (const Port& port : ports_) read_card_counters(port.device->id(), *port.status);
  for (const Port& port : ports_) look_at_steering(port);
  return renewed;
}

void PortWatch::look_at_steering(const Port& port) {
  channel::PortStatus& status = *port.status;
  const SteeringFinding found = find_steering(port.proofs);
  store(status.rss_misplaced, found.misplaced);
  store(status.steering_fault, found.fault);
  if (found.state == status.steering) return;
  store(status.steering, found.state);
  const std::string& name = port.device->options().name;
  const std::string& driver = port.device->driver();
  if (found.state == channel::Steering::kSteers) {
    spdlog::info("port {}: {} is proven to put packets before the worker that has their flow", name, driver);
  } else if (found.state == channel::Steering::kMisplaces) {
    spdlog::warn(
        "port {}: {} puts packets before other workers than the one that has their flow: {}; workers hand "
        "them over (rss_misplaced)",
        name, driver, channel::kSteeringFaultText[static_cast<size_t>(found.fault)]);
  }
}

bool PortWatch::look_at_twin(Port& port, uint64_t now_ms) {
  if (port.twin == nullptr || now_ms < port.twin_due_ms) return false;
  const std::string& name = port.device->options().name;
  const std::string& interface = port.twin->options().interface;
  if (port.twin->is_there()) {
    if (!port.twin->restore_mac()) return false;
    port.twin_due_ms = now_ms + kTwinPauseMs;
    spdlog::warn("port {}: twin {} had been given another MAC address than its card's; it has that again", name,
                 interface);
    return false;
  }
  port.twin_due_ms = now_ms + kTwinPauseMs;
  spdlog::error("port {}: twin {} was deleted", name, interface);
  if (!port.twin->renew()) return false;
  port.twin_due_ms = 0;
  port.twin->set_carrier(port.status->link_up != 0);
  spdlog::warn("port {}: twin {} is made anew; its addresses and routes have to be set again", name, interface);
  return true;
}

void PortWatch::look_at_members(size_t index) {
  const Port& port = ports_[index];
  Bond* bond = port.device->bond();
  if (bond == nullptr) return;
  const bool moved = bond->watch();
  for (const std::string& device : bond->let_go(wait_a_round_)) {
    spdlog::warn(
        "port {}: {} was taken away by the kernel; the others of its bond carry without it until "
        "sluice-dataplane is restarted",
        port.device->options().name, device);
  }
  channel::BondMember* published = port.status->members;
  std::string carry;
  for (const Bond::Member& member : bond->members()) {
    const bool link_changed = member.link.up != (published->link_up != 0);
    store(published->link_up, member.link.up ? 1 : 0);
    store(published->carries, member.carries ? 1 : 0);
    published++;
    if (member.carries) carry += (carry.empty() ? "" : ", ") + member.opened.device;
    if (looked_ && link_changed)
      spdlog::warn("port {}: {}: link {}", port.device->options().name, member.opened.device,
                   member.link.up ? "up" : "down");
  }
  if (!moved || carry.empty()) return;
  spdlog::info("port {}: packets go through {}", port.device->options().name, carry);
  if (looked_) announce_(index);
}

const Device* PortWatch::asked_back() const {
  const auto found = std::ranges::find_if(ports_, [](const Port& port) { return port.device->is_asked_back(); });
  return found == ports_.end() ? nullptr : found->device;
}

void PortWatch::look_at_link(Port& port) {
  const LinkState link = port.device->link();
  channel::PortStatus& status = *port.status;
  const bool changed = link.up != (status.link_up != 0);
  store(status.speed_mbps, link.speed_mbps);
  store(status.duplex, link.duplex);
  store(status.link_up, link.up ? 1 : 0);
  if (looked_ && !changed) return;
  const std::string& name = port.device->options().name;
  if (looked_) store(status.link_changes, status.link_changes + 1);
  if (link.up) {
    spdlog::info("port {}: link up{}", name, speed_text(link));
  } else {
    spdlog::warn("port {}: link down{}; see to cable, transceiver and switch port", name,
                 link.trouble.empty() ? "" : " (" + link.trouble + ")");
  }
  if (port.twin != nullptr) port.twin->set_carrier(link.up);
}

}  // namespace sluice
