// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/bond.h"

#include <fmt/format.h>
#include <rte_eth_bond.h>
#include <rte_eth_bond_8023ad.h>
#include <rte_ethdev.h>

#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"

namespace sluice {

Bond::Bond(const std::string& port, const BondOptions& options) : lacp_(options.lacp) {
  for (const std::string& device : options.members) members_.push_back({.opened = open_device(port, device)});
  name_ = fmt::format("net_bonding{}", members_.front().opened.id);
  const auto socket = static_cast<uint8_t>(std::max(0, rte_eth_dev_socket_id(members_.front().opened.id)));
  const int id = rte_eth_bond_create(name_.c_str(), lacp_ ? BONDING_MODE_8023AD : BONDING_MODE_ACTIVE_BACKUP, socket);
  if (id < 0) throw SetupError(fmt::format("port {}: no bond could be made: {}", port, last_dpdk_error()));
  id_ = static_cast<uint16_t>(id);
  for (const Member& member : members_) {
    if (rte_eth_bond_slave_add(id_, member.opened.id) == 0) continue;
    throw SetupError(fmt::format("port {}: {} ({}) could not become a member of the bond: {}", port,
                                 member.opened.device, member.opened.driver, last_dpdk_error()));
  }
  if (lacp_) {
    rte_eth_bond_xmit_policy_set(id_, BALANCE_XMIT_POLICY_LAYER34);
  } else {
    rte_eth_bond_primary_set(id_, members_.front().opened.id);
  }
}

Bond::~Bond() {
  for (const Member& member : members_) rte_eth_bond_slave_remove(id_, member.opened.id);
  rte_eth_bond_free(name_.c_str());
  for (const Member& member : members_) rte_eth_dev_close(member.opened.id);
}

bool Bond::watch() {
  for (Member& member : members_) member.link = link_of(member.opened.id, member.opened.interface);
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
  const int active = rte_eth_bond_primary_get(id_);
  const auto with_link = [](const Member& member) { return member.link.up; };
  if (std::ranges::any_of(members_, [&](const Member& member) { return member.opened.id == active && member.link.up; }))
    return;
  const auto next = std::ranges::find_if(members_, with_link);
  if (next != members_.end()) rte_eth_bond_primary_set(id_, next->opened.id);
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
