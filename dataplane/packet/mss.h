// SPDX-License-Identifier: Apache-2.0
//
// MSS clamping: lowers the maximum segment size that a SYN or SYN-ACK announces (RFC 9293 section 3.7.1), so that
// neither side sends segments that the way between them cannot carry whole. For SYNs only: off the fast path.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/tcp_options.h"

namespace sluice {

/// Lowers the MSS option of the segment in `mbuf` to `mss`, with the checksum. Segments without the option, with a
/// smaller one, or with options that do not parse stay as they are; `mss` 0 leaves all.
inline void clamp_mss(rte_mbuf& mbuf, const Packet& packet, uint16_t mss) noexcept {
  if (mss == 0) return;
  uint8_t* header = rte_pktmbuf_mtod(&mbuf, uint8_t*) + packet.l4_offset;
  bool done = false;
  for_each_option(header, packet.tcp_header_bytes, [&](uint32_t at, uint32_t bytes) {
    if (done || header[at] != tcp_option::kMss || bytes != tcp_option::kMssBytes) return;
    done = true;
    const Be16 announced{load<uint16_t>(header + at + 2)};
    if (announced.host() <= mss) return;
    const Be16 clamped = Be16::of(mss);
    store(header + at + 2, clamped);
    // At an odd place the value's bytes lie in two words, each in the other half of it.
    const bool odd = at % 2 != 0;
    const uint16_t removed = odd ? announced.host() : announced.raw;
    const uint16_t added = odd ? clamped.host() : clamped.raw;
    store(header + tcp::kChecksum, update_checksum(load<uint16_t>(header + tcp::kChecksum), removed, added));
  });
}

}  // namespace sluice
