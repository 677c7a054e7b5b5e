// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/link.h"

#include <rte_ethdev.h>

#include "dataplane/device/kernel_interface.h"

namespace sluice {
namespace {

LinkState link_of_driver(uint16_t id) {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id, &link) != 0) return {.up = true};  // the driver does not tell
  LinkState out{.up = link.link_status == RTE_ETH_LINK_UP};
  if (!out.up) return out;
  if (link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) out.speed_mbps = link.link_speed;
  out.duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX ? channel::Duplex::kFull : channel::Duplex::kHalf;
  return out;
}

}  // namespace

LinkState link_of(uint16_t id, const std::string& interface) {
  if (interface.empty()) return link_of_driver(id);
  const auto link = interface_link(interface);
  if (!link) return {.trouble = "there is no interface " + interface + " any more; restart sluice-dataplane"};
  LinkState out{.up = link->up, .speed_mbps = link->speed_mbps};
  if (link->full_duplex) out.duplex = channel::Duplex::kFull;
  if (link->half_duplex) out.duplex = channel::Duplex::kHalf;
  return out;
}

}  // namespace sluice
