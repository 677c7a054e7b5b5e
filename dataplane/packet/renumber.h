// SPDX-License-Identifier: Apache-2.0
//
// Changes the numbers of a TCP segment by what stays the same for a whole connection, for two ends that count the same
// stream from different beginnings. The checksum is kept up to date (RFC 1624), so an error that a segment came with
// stays visible to its receiver.
#pragma once

#include <cstdint>

namespace sluice {

/// What is added to each.
struct Renumbering {
  uint32_t sequence = 0;
  uint32_t acknowledgement = 0;  // and the edges of SACK blocks (RFC 2018)
  uint32_t timestamp = 0;        // value of the timestamps option (RFC 7323)
  uint32_t echo = 0;             // and what it echoes, where there is an acknowledgement
  int8_t window = 0;             // bits to the left; to the right if negative. At most 65535 comes out
};

/// Renumbers a segment that is no SYN. `header_bytes`: of its TCP header, options included.
void renumber(uint8_t* tcp_header, uint32_t header_bytes, const Renumbering& by) noexcept;

/// Replaces a 32-bit field of a TCP segment, at any offset of it, with the checksum.
void replace_word(uint8_t* tcp_header, uint8_t* field, uint32_t host_value) noexcept;

}  // namespace sluice
