// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/vlan_tag.h"

#include <rte_ether.h>

namespace sluice {

uint16_t vlan_id(const rte_mbuf* mbuf) {
  if (rte_pktmbuf_data_len(mbuf) < RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN) return 0;
  const auto* ethernet = rte_pktmbuf_mtod(mbuf, const rte_ether_hdr*);
  if (ethernet->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN)) return 0;
  const auto* tag = reinterpret_cast<const rte_vlan_hdr*>(ethernet + 1);
  return rte_be_to_cpu_16(tag->vlan_tci) & 0x0fff;
}

void remove_tag(rte_mbuf* mbuf, uint16_t vlan) {
  if (vlan == 0 || vlan_id(mbuf) != vlan) return;
  rte_vlan_strip(mbuf);
  // The frame is tagged or not by its bytes alone; a driver is to read nothing from the mbuf.
  mbuf->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
}

bool add_tag(rte_mbuf* mbuf, uint16_t vlan) {
  if (vlan == 0 || vlan_id(mbuf) != 0) return true;
  mbuf->vlan_tci = vlan;
  return rte_vlan_insert(&mbuf) == 0;
}

}  // namespace sluice
