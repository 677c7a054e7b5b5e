// SPDX-License-Identifier: Apache-2.0
//
// PROXY protocol headers, versions 1 and 2 (HAProxy's proxy-protocol.txt, sections 2.1 and 2.2), and what the injection
// of one does to a connection's sequence numbers: the backend sees the client's stream behind `bytes` more.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/contract/flow.h"
#include "dataplane/contract/messages.h"
#include "dataplane/packet/packet.h"

namespace sluice {

inline constexpr size_t kMaxProxyHeader = 107;  // the longest that version 1 allows; version 2 without TLVs is shorter
static_assert(kMaxProxyHeader <= kMostProxyBytes);

/// Writes the header for a connection from `client` to `vip` (of one family) into `out` (room for kMaxProxyHeader
/// bytes). Returns its length, a function of its arguments alone: 0 for kNone.
size_t write_proxy_header(channel::ProxyHeader kind, const Endpoint& client, const Endpoint& vip,
                          uint8_t* out) noexcept;

/// Takes the header out of what the backend acknowledges: the acknowledgement and the edges of SACK blocks
/// (RFC 2018) move back by `bytes`, but not before `first`, the client's first sequence number after its SYN, if that
/// is still worth checking (`clamp`). Checksum updated. `header_bytes`: of the TCP header, options included.
void shift_towards_client(uint8_t* tcp_header, uint32_t header_bytes, uint32_t bytes, bool clamp,
                          uint32_t first) noexcept;

}  // namespace sluice
