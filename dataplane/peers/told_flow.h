// SPDX-License-Identifier: Apache-2.0
//
// A flow as nodes tell each other of it: by what means the same on all of them, not by ids or by the order of the
// configuration.
#pragma once

#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"

namespace sluice {

enum class FlowStage : uint8_t {
  kPlaced = 0,  // its SYN went to the backend
  kOpen,
  kEnded,
};

struct ToldFlow {
  Endpoint client;
  Endpoint vip;
  Endpoint backend;  // none in kEnded
  channel::Forwarding forwarding = channel::Forwarding::kNat;
  FlowStage stage = FlowStage::kPlaced;
  uint8_t proxy_bytes = 0;  // by which the backend counts the client's stream further

  friend bool operator==(const ToldFlow&, const ToldFlow&) = default;
};

}  // namespace sluice
