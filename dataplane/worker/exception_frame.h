// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/packet/packet.h"

namespace sluice {

/// A frame that is no whole TCP segment, and waits until the burst it came with is dealt with.
struct ExceptionFrame {
  Packet packet;
  rte_mbuf* mbuf;
  uint8_t port;
  ParseVerdict verdict;  // kIcmp or kFragment
  uint8_t asker;         // the worker that asked first whose it is
};

}  // namespace sluice
