// SPDX-License-Identifier: Apache-2.0
//
// When a connection of which only the client's half is seen (dsr, tunnels) is believed in. Anyone can forge a SYN and
// an ACK, as nobody vouches for the server's numbers. So a handshake alone keeps its timer and its place among the
// embryonic flows. A client that talks with a server says something and acknowledges more each time the server speaks:
// once to the greeting or the ServerHello, and again after it has spoken itself.
#pragma once

#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/flow/tcp_track.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/sequence.h"

namespace sluice {

/// What a flow has shown while embryonic lies in its `bytes_down`: payload from the client, and this.
inline constexpr uint32_t kServerSpoke = 1U << 31;

inline uint32_t said_in_dialogue(const Flow& flow) {
  return flow.bytes_down & ~kServerSpoke;
}

/// Notes what a client's segment shows of a dialogue; `flow.client_next` and `flow.server_next` not yet moved, the
/// latter being what the client acknowledged before. Returns whether the flow is to be believed in now.
inline bool note_dialogue(Flow& flow, const Packet& packet) {
  if (!believes_lone_client(flow, packet.sequence, packet.ack)) return false;
  if (sequence_before(flow.server_next, packet.ack)) {
    if ((flow.bytes_down & kServerSpoke) != 0 && said_in_dialogue(flow) != 0) return true;
    flow.bytes_down |= kServerSpoke;
  }
  const uint32_t said = said_in_dialogue(flow) + (sequence_max(flow.client_next, end_of(packet)) - flow.client_next);
  flow.bytes_down = (flow.bytes_down & kServerSpoke) | (said < kServerSpoke ? said : kServerSpoke - 1);
  return false;
}

}  // namespace sluice
