// SPDX-License-Identifier: Apache-2.0
//
// IP packets as bytes to send. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "config/model.h"

namespace sluice::control {

using PacketBytes = std::vector<uint8_t>;

void put(PacketBytes& packet, std::span<const uint8_t> bytes);
void put(PacketBytes& packet, std::initializer_list<uint8_t> bytes);
void put16(PacketBytes& packet, uint16_t value);  // in network byte order, as put32
void put32(PacketBytes& packet, uint32_t value);

/// The bytes of an address as its own family has them: 4 or 16.
std::span<const uint8_t> bytes_of(const config::IpAddress& address);

/// RFC 1071, over 16-bit words in network byte order.
uint16_t internet_checksum(std::span<const uint8_t> bytes);

/// A packet without options around a message of TCP or ICMPv6 (`protocol`). The message's checksum, over addresses,
/// length and protocol too (RFC 9293 section 3.1, RFC 8200 section 8.1), is put in at `checksum_at`, where it has
/// zeros. Both addresses are of one family.
PacketBytes ip_packet(const config::IpAddress& source, const config::IpAddress& destination, uint8_t protocol,
                      uint8_t hops, PacketBytes message, size_t checksum_at);

}  // namespace sluice::control
