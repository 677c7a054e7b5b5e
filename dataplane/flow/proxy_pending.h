// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers that are on their way to a backend and not yet acknowledged. The client does not know of these bytes
// and never retransmits them, so the balancer does.
#pragma once

#include "dataplane/flow/retry_queues.h"

namespace sluice {

struct PendingHeader : RetryLinks {
  uint32_t sequence;         // where the header starts: the client's first number after its SYN
  uint32_t ack;              // the backend's first number after its SYN, as the client counts
  uint32_t timestamp_value;  // RFC 7323 option of the client's ACK, network order as it came
  uint32_t timestamp_echo;
  uint32_t payload_bytes;  // from the client meanwhile
  uint16_t window;         // of the client's ACK, network order
  bool has_timestamps;
};

/// Exim gives up after 3 s: two attempts come before that.
using ProxyPending =
    RetryQueues<PendingHeader, std::array<uint32_t, 6>{700, 1400, 2800, 5600, 11'200, 22'400}, 1U << 16>;

}  // namespace sluice
