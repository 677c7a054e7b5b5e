// SPDX-License-Identifier: Apache-2.0
//
// Ethernet frames that tell the stations of a link, unasked, at which MAC address an IP address is now. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "config/model.h"
#include "dataplane/contract/address.h"

namespace sluice::control {

/// For IPv4 an ARP announcement (RFC 5227, 2.3) as a request and once more as a reply, as there are stations that heed
/// only one of them; for IPv6 an unsolicited neighbour advertisement with the override flag (RFC 4861, 7.2.6). Whole
/// frames, without padding and checksum of Ethernet.
std::vector<std::vector<uint8_t>> address_announcements(const MacAddress& mac, const config::IpAddress& address);

}  // namespace sluice::control
