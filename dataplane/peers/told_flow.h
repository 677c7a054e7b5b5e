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
/// client counts the backend's numbers further.
struct ToldSplice {
  uint32_t sequence = 0;
  uint32_t timestamp = 0;
  uint8_t client_scale = 0;  // of windows, at most 15: none
  uint8_t server_scale = 0;
  bool timestamps = false;

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

  /// Whether its node waits for the backend's answer itself: it has answered the client's SYN, or has a PROXY header to
  /// send after it. `splice->sequence` is then what that acknowledges, and the rest says nothing.
  bool is_asked() const { return stage == FlowStage::kPlaced && splice.has_value(); }

  friend bool operator==(const ToldFlow&, const ToldFlow&) = default;
};

}  // namespace sluice
