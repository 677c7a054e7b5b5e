// SPDX-License-Identifier: Apache-2.0
//
// TCP Fast Open (RFC 7413) taken out of a client's SYN, for services whose backends get bytes of ours first: what came
// with the SYN would be taken before them. The client sends it again after the handshake. For SYNs only: off the fast
// path.
#pragma once

#include <rte_mbuf.h>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/tcp_options.h"

namespace sluice {

/// Blots out the options of kind 34, and of the experimental kind that came before it, with no-operations.
inline void blot_fast_open(uint8_t* header, uint32_t header_bytes) noexcept {
  const uint16_t magic = Be16::of(0xf989).raw;
  for_each_option(header, header_bytes, [&](uint32_t at, uint32_t bytes) {
    const bool experiment =
        header[at] == tcp_option::kExperiment && bytes >= 4 && load<uint16_t>(header + at + 2) == magic;
    if (header[at] == tcp_option::kFastOpen || experiment)
      __builtin_memset(header + at, tcp_option::kNoOperation, bytes);
  });
}

/// Takes option and payload out of the SYN in `mbuf`, with lengths and checksums: a wrong checksum stays wrong. A
/// segment that does not lie in one piece keeps its payload.
inline void strip_fast_open(rte_mbuf& mbuf, Packet& packet) noexcept {
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  uint8_t* header = data + packet.l4_offset;
  uint32_t bytes = packet.tcp_header_bytes + uint32_t{packet.payload_bytes};
  if (mbuf.nb_segs != 1 || packet.l4_offset + bytes > rte_pktmbuf_data_len(&mbuf)) bytes = packet.tcp_header_bytes;
  const uint32_t payload = bytes - packet.tcp_header_bytes;
  const uint16_t length = Be16::of(static_cast<uint16_t>(bytes)).raw;
  const uint16_t length_left = Be16::of(packet.tcp_header_bytes).raw;
  const uint16_t before = fold(sum_words(header, bytes) + (payload == 0 ? 0U : length));
  blot_fast_open(header, packet.tcp_header_bytes);
  const uint16_t after = fold(sum_words(header, packet.tcp_header_bytes) + (payload == 0 ? 0U : length_left));
  store(header + tcp::kChecksum, update_checksum(load<uint16_t>(header + tcp::kChecksum), before, after));
  if (payload == 0) return;

  const auto ip_bytes = static_cast<uint16_t>(packet.ip_bytes - payload);
  uint8_t* ip = data + packet.l3_offset;
  if (packet.v6) {
    const Be16 counted{load<uint16_t>(ip + ipv6::kPayloadLength)};
    store(ip + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(counted.host() - payload)));
  } else {
    const Be16 total = Be16::of(ip_bytes);
    const uint16_t was = load<uint16_t>(ip + ipv4::kTotalLength);
    store(ip + ipv4::kChecksum, update_checksum(load<uint16_t>(ip + ipv4::kChecksum), was, total.raw));
    store(ip + ipv4::kTotalLength, total);
  }
  rte_pktmbuf_trim(&mbuf, static_cast<uint16_t>(rte_pktmbuf_data_len(&mbuf) - packet.l3_offset - ip_bytes));
  packet.ip_bytes = ip_bytes;
  packet.payload_bytes = 0;
}

}  // namespace sluice
