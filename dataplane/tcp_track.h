// SPDX-License-Identifier: Apache-2.0
//
// How segments move a flow's TCP state (RFC 9293 section 3.3.2, as a middlebox sees it) and its idle deadline
// (RFC 5382 section 5). Segments that a peer would not believe (a reset outside the window, an ACK of a SYN never
// sent) do not move it: an attacker who guesses neither side's numbers cannot end or confirm a flow.
#pragma once

#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/packet.h"
#include "dataplane/sequence.h"

namespace sluice {

/// Sequence numbers further ahead than this of what was seen are not believed: more than any real window in flight.
inline constexpr uint32_t kBelievable = 1U << 26;

/// The number that one side will use next, moved on by its segment (not a reset).
inline uint32_t advance(uint32_t next, const Packet& packet) {
  if ((packet.tcp_flags & kTcpRst) != 0) return next;
  const uint32_t end = packet.sequence + packet.sequence_length();
  return end - next < kBelievable ? end : next;
}

/// Whether a reset carries a number that its receiver would take for real, give or take a window of 64 KiB in flight
/// (RFC 5961 section 3.2 asks receivers for an exact match).
inline bool believable_reset(uint32_t next, uint32_t sequence) {
  return sequence - (next - 0x10000) <= 0x20000;
}

/// The state after a segment from the client; `flow.client_next` not yet advanced.
inline TcpState after_client_segment(const Flow& flow, const Packet& packet) {
  if ((packet.tcp_flags & kTcpRst) != 0) {
    const bool real = flow.state == TcpState::kAdopted || believable_reset(flow.client_next, packet.sequence);
    return real ? TcpState::kReset : flow.state;
  }
  if (flow.state == TcpState::kSynReceived && (packet.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpAck) {
    if (packet.ack != flow.server_next) return flow.state;
    return (packet.tcp_flags & kTcpFin) != 0 ? TcpState::kClientFin : TcpState::kEstablished;
  }
  if ((packet.tcp_flags & kTcpFin) != 0) {
    if (flow.state == TcpState::kEstablished || flow.state == TcpState::kAdopted) return TcpState::kClientFin;
    if (flow.state == TcpState::kServerFin) return TcpState::kClosed;
  }
  return flow.state;
}

/// The state after a segment from the backend; `flow.server_next` not yet advanced.
inline TcpState after_server_segment(const Flow& flow, const Packet& packet) {
  if ((packet.tcp_flags & kTcpRst) != 0) {
    // A refusal carries no sequence number of its own: it answers the SYN.
    const bool refused = flow.state == TcpState::kSynSent && packet.ack == flow.client_next;
    const bool real = refused || flow.state == TcpState::kAdopted ||
                      (flow.state != TcpState::kSynSent && believable_reset(flow.server_next, packet.sequence));
    return real ? TcpState::kReset : flow.state;
  }
  if (flow.state == TcpState::kSynSent) {
    const bool answers = (packet.tcp_flags & (kTcpSyn | kTcpAck)) == (kTcpSyn | kTcpAck);
    return answers && packet.ack == flow.client_next ? TcpState::kSynReceived : flow.state;
  }
  if ((packet.tcp_flags & kTcpSyn) != 0) return flow.state;
  if (flow.state == TcpState::kAdopted && (packet.tcp_flags & kTcpFin) == 0) return TcpState::kEstablished;
  if ((packet.tcp_flags & kTcpFin) != 0) {
    if (flow.state == TcpState::kEstablished || flow.state == TcpState::kAdopted) return TcpState::kServerFin;
    if (flow.state == TcpState::kClientFin) return TcpState::kClosed;
  }
  return flow.state;
}

/// The state after a segment from the client of a flow of which nothing else is seen (dsr, tunnels): the client's
/// acknowledgements tell of the server. Its FIN ends the flow: nobody tells of the server's, and an SMTP client sends
/// none before it has the server's last reply. `flow.client_next` and `flow.server_next` not yet advanced.
inline TcpState after_lone_client_segment(const Flow& flow, const Packet& packet) {
  if ((packet.tcp_flags & kTcpRst) != 0) return after_client_segment(flow, packet);
  if ((packet.tcp_flags & (kTcpSyn | kTcpAck)) != kTcpAck) return flow.state;
  const bool open = flow.state == TcpState::kEstablished || flow.state == TcpState::kAdopted;
  if ((packet.tcp_flags & kTcpFin) != 0 && open) return TcpState::kClosed;
  if (flow.state == TcpState::kSynSent && packet.sequence - flow.client_next < kBelievable) {
    return TcpState::kEstablished;
  }
  // A stranger's single segment does not make a connection: the dialogue has to go on.
  if (flow.state == TcpState::kAdopted && sequence_before(flow.server_next, packet.ack)) return TcpState::kEstablished;
  return flow.state;
}

}  // namespace sluice
