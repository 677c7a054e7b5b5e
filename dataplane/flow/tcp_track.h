// SPDX-License-Identifier: Apache-2.0
//
// How segments move a flow's TCP state (RFC 9293 section 3.3.2, as a middlebox sees it). A segment counts only if its
// receiver would believe it (RFC 9293 section 3.10.7.4, RFC 5961): whoever knows a connection's addresses and ports but
// not its numbers can neither end it, nor confirm it, nor keep it. What is not believed goes on to its receiver all
// the same.
//
// A receiver knows its own numbers, a middlebox has only seen segments, of which some were lost before it and others
// behind it. So it asks more of one number the less sure it is of the other: both within the largest window, and one of
// them the very number that is expected, or both near it. A blind guess fits once in some 2^32 times, however large the
// windows are. A backend's segments need only fit the windows. They come from our own network, as the port and the next
// hop vouch for (worker/flow_finder.h), and put right what was missed on either side.
#pragma once

#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/sequence.h"

namespace sluice {

/// Over by FINs or a reset: its client may use the port again, and its place may be taken.
constexpr bool is_over(TcpState state) {
  return state == TcpState::kClosed || state == TcpState::kReset;
}

/// Of a half-closed flow: how long nothing is heard of it before a new SYN is believed to be its client's. Who only
/// guesses an address and a port cannot end a connection that is still closing.
inline constexpr uint32_t kHalfClosedQuietMs = 500;

/// Whether a flow has fallen silent. `latest_ms`: the deadline of a flow in this state that was heard of now.
inline bool is_quiet(const Flow& flow, uint32_t latest_ms) {
  return latest_ms - flow.deadline_ms >= kHalfClosedQuietMs;
}

/// Whether it is half-closed and has, so that its client may use the port again.
inline bool is_left(const Flow& flow, uint32_t latest_ms) {
  const bool half_closed = flow.state == TcpState::kClientFin || flow.state == TcpState::kServerFin;
  return half_closed && is_quiet(flow, latest_ms);
}

/// Whether a SYN begins a new connection where a flow is half-closed (RFC 9293 section 3.6.1): its number is beyond all
/// that the old connection used, and that has fallen silent.
inline bool begins_anew(const Flow& flow, const Packet& syn, uint32_t latest_ms) {
  return is_left(flow, latest_ms) && !sequence_before(syn.sequence, flow.client_next);
}

/// The number after a segment's last.
inline uint32_t end_of(const Packet& packet) {
  return packet.sequence + packet.sequence_length();
}

/// Whether a segment brings what its sender had sent before, or what others have overtaken; `next`: the number that it
/// was to use next.
inline bool is_sent_again(const Packet& packet, uint32_t next) {
  return packet.sequence_length() != 0 && sequence_before(packet.sequence, next);
}

/// Whether a number is at most `window` before or behind another.
inline bool is_within(uint32_t number, uint32_t other, uint32_t window) {
  return number - other + window <= 2 * window;
}

/// So far both numbers of a segment may be from those expected: 2^16 of 2^32 each, or an exact guess of one.
inline constexpr uint32_t kNear = (1U << 15) - 1;

/// Whether a client's segment, no SYN or reset, is believed whose server is not seen: the client's acknowledgements
/// tell of it. The flow is past its handshake.
inline bool believes_lone_client(const Flow& flow, uint32_t sequence, uint32_t ack) {
  const uint32_t window = flow.largest_window();
  if (!is_within(sequence, flow.client_next, window) || !is_within(ack, flow.server_next, window)) return false;
  return sequence == flow.client_next || ack == flow.server_next ||
         (is_within(sequence, flow.client_next, kNear) && is_within(ack, flow.server_next, kNear));
}

/// How much is seen of what a flow's server says: all, or what comes to this node and not to another.
enum class ServerSeen : uint8_t { kWhole, kInPart };

/// `has_peers`: there are other nodes. With NAT a server that has been established may be seen at one of them alone
/// (worker/answer_passing.h): after a handshake of our own (flow/splice.h), or with a PROXY header.
inline ServerSeen server_seen(const Flow& flow, bool has_peers) {
  const bool in_part =
      has_peers && flow.forwarding() == channel::Forwarding::kNat && (flow.spliced || flow.proxy_bytes != 0);
  return in_part ? ServerSeen::kInPart : ServerSeen::kWhole;
}

/// Likewise of one whose server is seen, as far as it is here.
inline bool believes_client(const Flow& flow, uint32_t sequence, uint32_t ack, ServerSeen seen) {
  if (seen == ServerSeen::kInPart) return believes_lone_client(flow, sequence, ack);
  const uint32_t window = flow.largest_window();
  const uint32_t unacknowledged = flow.server_next - ack;
  if (!is_within(sequence, flow.client_next, window) || unacknowledged > window) return false;
  return sequence == flow.client_next || unacknowledged == 0 ||
         (is_within(sequence, flow.client_next, kNear) && unacknowledged <= kNear);
}

/// Whether a backend's segment is believed. A PROXY header shifts its acknowledgements.
inline bool believes_backend(const Flow& flow, uint32_t sequence, uint32_t ack) {
  const uint32_t window = flow.largest_window();
  return is_within(sequence, flow.server_next, window) && is_within(ack - flow.proxy_bytes, flow.client_next, window);
}

/// What a segment is to its flow.
struct Judgement {
  bool believed;
  TcpState next;  // the state after it; as before if it is not believed
};

inline bool has_flags(const Packet& packet, uint8_t flags) {
  return (packet.tcp_flags & flags) == flags;
}

/// Whether a segment has SYN or RST.
inline bool opens_or_resets(const Packet& packet) {
  return (packet.tcp_flags & (kTcpSyn | kTcpRst)) != 0;
}

/// A segment of a believed sender with FIN: whether it ends what that has sent.
inline bool closes(const Packet& packet, uint32_t next) {
  return has_flags(packet, kTcpFin) && !sequence_before(end_of(packet), next);
}

/// Whether a segment of the backend acknowledges the client's SYN, with as much as it may of what came with it.
inline bool acknowledges_syn(const Flow& flow, const Packet& packet) {
  return has_flags(packet, kTcpAck) && packet.ack - flow.client_next <= flow.bytes_down;
}

/// A reset counts at the very number that its receiver waits for (RFC 5961 section 3.2).
inline Judgement judge_reset(const Flow& flow, bool exact) {
  return {exact, exact && !is_over(flow.state) ? TcpState::kReset : flow.state};
}

/// Whether a reset is at the number that its receiver waits for; `next`: of its sender. `closing`: the state in which
/// the sender has sent a FIN. Then it may be at that FIN's number, too: so data is answered that has crossed the FIN,
/// and its receiver either waits for the FIN still or takes it nevertheless (Linux: tcp_reset_check()).
inline bool resets(const Flow& flow, const Packet& packet, uint32_t next, TcpState closing) {
  return packet.sequence == next || (flow.state == closing && packet.sequence == next - 1);
}

/// A client's segment; the flow's numbers not yet moved.
inline Judgement judge_client(const Flow& flow, const Packet& packet, ServerSeen seen) {
  const TcpState state = flow.state;
  if (has_flags(packet, kTcpSyn)) return {state == TcpState::kSynSent && !has_flags(packet, kTcpAck), state};
  if (has_flags(packet, kTcpRst)) {
    // A stranger's word has moved the numbers to where he says, and a half whose backend speaks at another node may be
    // like that as long as the session lasts.
    const bool known = state != TcpState::kAdopted;
    return judge_reset(flow, known && resets(flow, packet, flow.client_next, TcpState::kClientFin));
  }
  const bool fin = has_flags(packet, kTcpFin);
  switch (state) {
    case TcpState::kFree:
    case TcpState::kSynSent:
      return {false, state};
    case TcpState::kSynReceived: {
      const bool real = flow.server_next - packet.ack <= flow.bytes_down &&
                        packet.sequence - flow.client_next <= flow.largest_window();
      if (!real) return {false, state};
      return {true, fin ? TcpState::kClientFin : TcpState::kEstablished};
    }
    case TcpState::kAdopted:
      return {true, state};  // its numbers are a stranger's word until the backend speaks
    case TcpState::kEstablished:
    case TcpState::kClientFin:
    case TcpState::kServerFin:
    case TcpState::kClosed:
    case TcpState::kReset:
      break;
  }
  if (!believes_client(flow, packet.sequence, packet.ack, seen)) return {false, state};
  if (!closes(packet, flow.client_next)) return {true, state};
  if (state == TcpState::kEstablished) return {true, TcpState::kClientFin};
  return {true, state == TcpState::kServerFin ? TcpState::kClosed : state};
}

/// A backend's segment; the flow's numbers not yet moved.
inline Judgement judge_backend(const Flow& flow, const Packet& packet) {
  const TcpState state = flow.state;
  const bool syn = has_flags(packet, kTcpSyn), rst = has_flags(packet, kTcpRst);
  switch (state) {
    case TcpState::kFree:
      return {false, state};
    case TcpState::kSynSent:
      // A refusal carries no sequence number of its own: it answers the SYN.
      if (!acknowledges_syn(flow, packet) || (!syn && !rst)) return {false, state};
      return {true, rst ? TcpState::kReset : TcpState::kSynReceived};
    case TcpState::kSynReceived: {
      const bool answers_syn = has_flags(packet, kTcpAck) && packet.ack == flow.client_next;
      if (rst) return judge_reset(flow, answers_syn || flow.server_next - packet.sequence <= flow.bytes_down);
      return {syn ? answers_syn : believes_backend(flow, packet.sequence, packet.ack), state};
    }
    case TcpState::kAdopted:
      // Whom the client speaks with knows the numbers. A backend that does not know the connection resets it.
      if (rst) return {true, TcpState::kReset};
      if (syn) return {false, state};
      return {true, has_flags(packet, kTcpFin) ? TcpState::kServerFin : TcpState::kEstablished};
    case TcpState::kEstablished:
    case TcpState::kClientFin:
    case TcpState::kServerFin:
    case TcpState::kClosed:
    case TcpState::kReset:
      break;
  }
  if (syn) return {false, state};
  if (rst) return judge_reset(flow, resets(flow, packet, flow.server_next, TcpState::kServerFin));
  if (!believes_backend(flow, packet.sequence, packet.ack)) return {false, state};
  if (!closes(packet, flow.server_next)) return {true, state};
  if (state == TcpState::kEstablished) return {true, TcpState::kServerFin};
  return {true, state == TcpState::kClientFin ? TcpState::kClosed : state};
}

/// A segment from the client of a flow of which nothing else is seen (dsr, tunnels). Its FIN ends the flow: nobody
/// tells of the server's, and an SMTP client sends none before it has the server's last reply.
inline Judgement judge_lone_client(const Flow& flow, const Packet& packet) {
  const TcpState state = flow.state;
  if (has_flags(packet, kTcpSyn)) return {state == TcpState::kSynSent && !has_flags(packet, kTcpAck), state};
  if (has_flags(packet, kTcpRst)) return judge_reset(flow, packet.sequence == flow.client_next);
  if (state == TcpState::kSynSent) {
    // A handshake does not make a connection yet: see lone_dialogue.h.
    const bool follows_syn = packet.sequence - flow.client_next <= flow.bytes_down;
    return {follows_syn, follows_syn ? TcpState::kSynReceived : state};
  }
  const bool fits = believes_lone_client(flow, packet.sequence, packet.ack);
  const bool open = state == TcpState::kEstablished || is_embryonic(state);
  const bool ends = fits && open && closes(packet, flow.client_next) && !sequence_before(packet.ack, flow.server_next);
  if (state == TcpState::kAdopted && !ends) return {true, state};  // its numbers are a stranger's word so far
  return {fits, ends ? TcpState::kClosed : state};
}

/// A client's SYN. It may carry payload (TCP Fast Open, RFC 7413), which the backend acknowledges with it, in part or
/// not at all; `bytes_down` keeps how much, until the backend has answered. `scale`: of its window.
inline void note_syn(Flow& flow, const Packet& packet, uint8_t scale) {
  const uint32_t payload = packet.payload_bytes;
  const bool again = flow.client_next == packet.sequence + 1;
  if (!again || payload > flow.bytes_down) flow.bytes_down = payload;
  flow.client_next = packet.sequence + 1;
  flow.set_window_scale(scale);
}

/// The backend's SYN-ACK. `answered`: it has just brought the flow to kSynReceived. What a backend says before the
/// client's ACK is counted in `bytes_down`, as that ACK may be of any of it.
inline void note_syn_ack(Flow& flow, const Packet& packet, bool answered) {
  if (answered) {
    if (packet.ack != flow.client_next) flow.smtp_detail |= kSmtpEarly;  // what came with the SYN counts
    flow.client_next = packet.ack;
  }
  const uint32_t first = packet.sequence + 1;
  if (!answered && first == flow.server_next - flow.bytes_down) return;  // the same once more
  flow.server_next = first;
  flow.bytes_down = 0;
}

/// Moves the numbers of a flow by a believed segment, no SYN or reset.
inline void move_by_client(Flow& flow, const Packet& packet, ServerSeen seen) {
  const bool stranger = flow.state == TcpState::kAdopted && !believes_client(flow, packet.sequence, packet.ack, seen);
  if (stranger) flow.server_next = packet.ack;
  if (seen == ServerSeen::kInPart) flow.server_next = sequence_max(flow.server_next, packet.ack);
  flow.client_next = stranger ? end_of(packet) : sequence_max(flow.client_next, end_of(packet));
}

inline void move_by_lone_client(Flow& flow, const Packet& packet) {
  const bool stranger = flow.state == TcpState::kAdopted && !believes_lone_client(flow, packet.sequence, packet.ack);
  flow.client_next = stranger ? end_of(packet) : sequence_max(flow.client_next, end_of(packet));
  flow.server_next = stranger ? packet.ack : sequence_max(flow.server_next, packet.ack);
}

/// `adopted`: the flow was in kAdopted, its numbers a stranger's. A backend acknowledges nothing that the client has
/// not sent, so what it acknowledges counts even if it was not seen.
inline void move_by_backend(Flow& flow, const Packet& packet, bool adopted) {
  const uint32_t acknowledged = packet.ack - flow.proxy_bytes;
  if (adopted) {
    flow.server_next = end_of(packet);
    if (flow.client_next - acknowledged > kNear) flow.client_next = acknowledged;
    return;
  }
  flow.server_next = sequence_max(flow.server_next, end_of(packet));
  flow.client_next = sequence_max(flow.client_next, acknowledged);
}

}  // namespace sluice
