// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/port_status.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <string_view>

namespace sluice {
namespace {

using channel::PortCounter;

/// `text` with a NUL at its end, cut if need be.
template <size_t kBytes>
void put_text(char (&to)[kBytes], std::string_view text) {
  text = text.substr(0, kBytes - 1);
  *std::ranges::copy(text, to).out = '\0';
}

void put(channel::PortStatus& status, PortCounter counter, uint64_t value) {
  __atomic_store_n(&status.counters[static_cast<size_t>(counter)], value, __ATOMIC_RELAXED);  // pairs: read_counter()
}

}  // namespace

channel::PortStatus port_identity(const Device& device) {
  channel::PortStatus out{};
  put_text(out.name, device.options().name);
  put_text(out.twin, device.options().twin);
  put_text(out.driver, device.driver());
  out.mac = device.mac();
  out.vlan = device.options().vlan;
  out.mtu = device.mtu();
  if (device.bond() == nullptr) return out;
  size_t place = 0;
  for (const Bond::Member& member : device.bond()->members())
    put_text(out.members[place++].device, member.opened.device);
  return out;
}

void read_card_counters(uint16_t device, channel::PortStatus& status) {
  rte_eth_stats card{};
  if (rte_eth_stats_get(device, &card) != 0) return;
  put(status, PortCounter::kReceivedPackets, card.ipackets);
  put(status, PortCounter::kReceivedBytes, card.ibytes);
  put(status, PortCounter::kSentPackets, card.opackets);
  put(status, PortCounter::kSentBytes, card.obytes);
  put(status, PortCounter::kMissed, card.imissed);
  put(status, PortCounter::kReceiveErrors, card.ierrors);
  put(status, PortCounter::kNoMbuf, card.rx_nombuf);
  put(status, PortCounter::kSendErrors, card.oerrors);
}

}  // namespace sluice
