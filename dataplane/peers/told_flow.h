// SPDX-License-Identifier: Apache-2.0
//
// A flow as nodes tell each other of it: by what means the same on all of them, not by ids or by the order of the
// configuration.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"

namespace sluice {

enum class FlowStage : uint8_t {
  kPlaced = 0,  // its SYN went to the backend
  kOpen,
  kEnded,
  kHearsay,  // open, as a node had told that is away now; said by another to one that is new
};

/// How the halves of a flow differ whose client's SYN was answered by the balancer (flow/splice.h): by how much the
/// client counts the backend's numbers further. Of a flow that is only placed, whose backend has been asked and has not
/// answered, what the client was promised: with that, the node to which the answer comes can do what follows from it.
struct ToldSplice {
  uint32_t sequence = 0;     // while it is asked: the first number that the client knows
  uint32_t timestamp = 0;    // likewise
  uint8_t client_scale = 0;  // of windows, at most 15: none
  uint8_t server_scale = 0;
  bool timestamps = false;
  uint32_t client_next = 0;  // that the client uses next; while it is asked: that the backend's answer acknowledges
  uint32_t client_timestamp = 0;  // while it is asked, else 0: the client's, for the backend, in network order

  friend bool operator==(const ToldSplice&, const ToldSplice&) = default;
};

struct ToldFlow {
  Endpoint client;
  Endpoint vip;
  Endpoint backend;  // none in kEnded
  Endpoint local;    // fullnat alone: the endpoint from which its node speaks with the backend
  channel::Forwarding forwarding = channel::Forwarding::kNat;
  FlowStage stage = FlowStage::kPlaced;
  uint8_t proxy_bytes = 0;  // at most 127, by which the backend counts the client's stream further
  std::optional<ToldSplice> splice;

  /// Whether its client waits for the backend's answer, which more than one node may get.
  bool is_asked() const noexcept { return splice && stage == FlowStage::kPlaced; }

  friend bool operator==(const ToldFlow&, const ToldFlow&) = default;
};

}  // namespace sluice
