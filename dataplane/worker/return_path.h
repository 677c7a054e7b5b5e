// SPDX-License-Identifier: Apache-2.0
//
// Where a flow's client is reached: by the way that its last packet came.
#pragma once

#include "dataplane/contract/flow.h"
#include "dataplane/worker/burst.h"

namespace sluice {

inline void learn_return_path(const Burst& burst, uint32_t i, Flow& flow) noexcept {
  // Six bytes of MAC and, in place of the type that follows them, VLAN and port.
  const auto from = load<uint64_t>(rte_pktmbuf_mtod(burst.mbuf[i], const uint8_t*) + 6) & 0x0000ffffffffffff;
  const auto vlan_and_port = static_cast<uint64_t>(burst.packet[i].vlan | burst.port[i] << 12);
  store(flow.client_mac.bytes.data(), from | vlan_and_port << 48);
}

}  // namespace sluice
