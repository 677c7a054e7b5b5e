// SPDX-License-Identifier: Apache-2.0
//
// The VLAN tag between a port and its twin: the twin of a port with a VLAN sees that VLAN without tags, and any other
// with its tag.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

namespace sluice {

/// The VLAN id of a tagged frame, 0 of an untagged one.
uint16_t vlan_id(const rte_mbuf* mbuf);

/// Takes the tag off a frame of `vlan`; leaves any other frame as it is.
void remove_tag(rte_mbuf* mbuf, uint16_t vlan);

/// Puts the tag of `vlan` on a frame that has none. False if there is no room for it; the frame is as it was.
bool add_tag(rte_mbuf* mbuf, uint16_t vlan);

}  // namespace sluice
