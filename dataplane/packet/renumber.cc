// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/renumber.h"

namespace sluice {

void renumber_options(HeaderChange& change, uint8_t* tcp_header, uint32_t header_bytes,
                      const Renumbering& by) noexcept {
  const bool acknowledges = (tcp_header[tcp::kFlags] & kTcpAck) != 0;
  for_each_option(tcp_header, header_bytes, [&](uint32_t at, uint32_t bytes) {
    if (tcp_header[at] == tcp_option::kSack) {
      for (uint32_t edge = at + 2; edge + 4 <= at + bytes; edge += 4) change.add(tcp_header + edge, by.acknowledgement);
    } else if (tcp_header[at] == tcp_option::kTimestamps && bytes == tcp_option::kTimestampsBytes) {
      change.add(tcp_header + at + 2, by.timestamp);
      if (acknowledges) change.add(tcp_header + at + 6, by.echo);
    }
  });
}

}  // namespace sluice
