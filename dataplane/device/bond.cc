// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/bond.h"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_eth_bond.h>
#include <rte_eth_bond_8023ad.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/device/card_diagnosis.h"
#include "dataplane/device/device_string.h"

namespace sluice {

Bond::Bond(const std::string& port, const BondOptions& options) : lacp_(options.lacp) {
  // Where none is there, what is wrong with the first is probably wrong with all.
  if (std::ranges::none_of(options.members, is_present)) open_device(port, options.members.front());
  for (const std::string& device : options.members) add(port, device);
  const auto first = std::ranges::find_if(members_, &Member::is_there);
  name_ = fmt::format("net_bonding{}", first->opened.id);
  const auto socket = static_cast<uint8_t>(std::max(0, rte_eth_dev_socket_id(first->opened.id)));
  const int id = rte_eth_bond_create(name_.c_str(), lacp_ ? BONDING_MODE_8023AD : BONDING_MODE_ACTIVE_BACKUP, socket);
  if (id < 0) throw SetupError(fmt::format("port {}: no bond could be made: {}", port, last_dpdk_error()));
  id_ = static_cast<uint16_t>(id);
  for (const Member& member : members_) {
    if (!member.is_there() || rte_eth_bond_slave_add(id_, member.opened.id) == 0) continue;
    throw SetupError(fmt::format("port {}: {} ({}) could not become a member of the bond: {}", port,
                                 member.opened.device, member.opened.driver, last_dpdk_error()));
  }
  if (lacp_) {
    rte_eth_bond_xmit_policy_set(id_, BALANCE_XMIT_POLICY_LAYER34);
  } else {
    chosen_ = first->opened.id;
    rte_eth_bond_primary_set(id_, chosen_);
  }
}

void Bond::add(const std::string& port, const std::string& device) {
  Member& member = members_.emplace_back();
  member.opened.device = device;
  if (!is_present(device)) {
    const std::string why = diagnose_card(pci_port_name(device));
    spdlog::error("port {}: {} of its bond {}; the others carry without it until sluice-dataplane is restarted", port,
                  device, why);
    return;
  }
  member.opened = open_device(port, device);
  member.events = std::make_unique<CardEvents>(member.opened.id);
}

Bond::~Bond() {
  std::vector<uint16_t> open;
  for (Member& member : members_) {
    if (!member.is_there()) continue;
    member.events.reset();
    rte_eth_bond_slave_remove(id_, member.opened.id);
    open.push_back(member.opened.id);
  }
  rte_eth_bond_free(name_.c_str());
  for (const uint16_t id : open) rte_eth_dev_close(id);
}

bool Bond::watch() {
  for (Member& member : members_) {
    if (!member.is_there()) continue;
    const std::string trouble = member.events->trouble();
    member.link = trouble.empty() ? link_of(member.opened.id, member.opened.interface) : LinkState{.trouble = trouble};
  }
  if (!lacp_) choose_active();
  bool changed = false;
  for (Member& member : members_) {
    const bool carries = is_carrying(member);
    changed |= carries != member.carries;
    member.carries = carries;
  }
  return changed;
}

void Bond::choose_active() {
  const auto is_chosen = [&](const Member& member) { return member.link.up && member.opened.id == chosen_; };
  if (std::ranges::any_of(members_, is_chosen)) return;
  const int active = rte_eth_bond_primary_get(id_);
  const auto carries = [&](const Member& member) { return member.link.up && member.opened.id == active; };
  auto next = std::ranges::find_if(members_, carries);
  if (next == members_.end())
    next = std::ranges::find_if(members_, [](const Member& member) { return member.link.up; });
  if (next == members_.end()) return;
  // The driver may have gone over to it already, and would go back: to what it was told last. It gives a member the
  // bond's MAC address when it goes over by itself, or is told the address, and not when it is told the member.
  chosen_ = next->opened.id;
  rte_eth_bond_primary_set(id_, chosen_);
  rte_ether_addr mac{};
  if (rte_eth_macaddr_get(id_, &mac) == 0) rte_eth_bond_mac_address_set(id_, &mac);
}

bool Bond::is_asked_back() const {
  return std::ranges::all_of(members_,
                             [](const Member& member) { return !member.is_there() || member.events->is_asked_back(); });
}

std::vector<std::string> Bond::let_go(const std::function<void()>& wait_a_round) {
  std::vector<std::string> closed;
  for (Member& member : members_) {
    if (!member.is_there() || !member.events->is_asked_back() || is_asked_back()) continue;
    close(member, wait_a_round);
    closed.push_back(member.opened.device);
  }
  return closed;
}

void Bond::close(Member& member, const std::function<void()>& wait_a_round) {
  const uint16_t id = member.opened.id;
  rte_eth_dev_info info{};
  rte_eth_dev_info_get(id, &info);
  member.events.reset();
  member.link = {.trouble = "the card was taken away"};
  member.carries = false;
  rte_eth_bond_slave_remove(id_, id);
  wait_a_round();  // a worker may be asking it for packets right now
  rte_eth_dev_stop(id);
  rte_eth_dev_close(id);
  if (info.device != nullptr) rte_dev_remove(info.device);
}

bool Bond::is_carrying(const Member& member) const {
  if (!member.link.up) return false;
  if (!lacp_) return rte_eth_bond_primary_get(id_) == member.opened.id;
  struct rte_eth_bond_8023ad_slave_info info{};  // a function is called so as well
  return rte_eth_bond_8023ad_slave_info(id_, member.opened.id, &info) == 0 &&
         (info.actor_state & STATE_DISTRIBUTING) != 0;
}

LinkState Bond::link() const {
  LinkState out;
  for (const Member& member : members_) {
    if (!member.carries) continue;
    out.up = true;
    out.speed_mbps += member.link.speed_mbps;
    out.duplex = member.link.duplex;
  }
  if (out.up) return out;
  const bool any = std::ranges::any_of(members_, [](const Member& member) { return member.link.up; });
  out.trouble =
      any && lacp_ ? "the switch takes no member in by LACP; see to its port-channel" : "no member has a link";
  return out;
}

}  // namespace sluice
