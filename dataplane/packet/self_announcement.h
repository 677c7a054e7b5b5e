// SPDX-License-Identifier: Apache-2.0
//
// The frame by which a station tells its switches where it is now, without a word about addresses: a RARP request (RFC
// 903) for its own MAC to everybody, as virtual machines send after they have moved. Hosts have no use for it.
#pragma once

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "dataplane/contract/address.h"

namespace sluice {

/// Untagged, padded to the least length. Null if `pool` has no buffer.
rte_mbuf* make_self_announcement(const MacAddress& mac, rte_mempool* pool);

}  // namespace sluice
