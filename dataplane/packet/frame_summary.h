// SPDX-License-Identifier: Apache-2.0
//
// What inspections tell of a frame, received or about to be sent: its IP endpoints, its TCP numbers, and where its
// headers end and what is said in it begins. Through tunnels too: endpoints are the outer ones, numbers those of the
// TCP segment inside. For any bytes; nothing beyond `available` is read.
#pragma once

#include <cstdint>

#include "dataplane/contract/trace.h"

namespace sluice {

struct FrameSummary {
  channel::TracedFrame frame{};
  uint8_t tcp_flags = 0;      // 0 = no TCP segment
  bool is_ip = false;         // the rest is meaningful
  uint32_t header_bytes = 0;  // up to the first byte of content; content is what is not understood, too
};

FrameSummary summarize(const uint8_t* data, uint32_t available) noexcept;

}  // namespace sluice
