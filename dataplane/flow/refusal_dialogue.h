// SPDX-License-Identifier: Apache-2.0
//
// One client that is told 421 and goodbye: our end of a TCP connection (RFC 9293) that sends one segment, with text and
// FIN, and takes whatever the client says until its FIN. It begins with the ACK that ends the handshake, where there
// was nothing of it before; or where a backend's end of the connection left off.
#pragma once

#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/sequence.h"

namespace sluice {

struct RefusalDialogue {
  /// What we promise to take at a time. Windows are not scaled, as our SYN-ACK says nothing of it; where a backend's
  /// did, the promise is larger than it need be.
  static constexpr uint16_t kWindow = 4096;

  Endpoint client;
  Endpoint service;
  uint32_t sequence;  // of our text's first byte
  uint32_t client_next;
  uint32_t due_ms;     // when it is sent again, or over
  uint32_t timestamp;  // of all our segments, as it lies in the option (RFC 7323), if they are stamped
  uint32_t timestamp_echo;
  uint16_t service_id;
  uint16_t vlan_and_port;  // return path, as in Flow
  MacAddress client_mac;
  uint8_t text_bytes;
  uint8_t sent;  // how often
  bool in_use;
  bool acknowledged;   // our FIN
  bool client_closed;  // we have its FIN
  bool held;           // it is not told yet, although it could be
  bool stamped;

  bool is_of(const Endpoint& from, const Endpoint& to) const noexcept {
    return in_use && client == from && service == to;
  }

  /// Behind our FIN.
  uint32_t end() const noexcept { return sequence + text_bytes + 1; }
  /// What a segment of ours without data begins with.
  uint32_t next() const noexcept { return sent == 0 ? sequence : end(); }

  /// Whether a segment is of this connection: it acknowledges what we may have sent, and its data is not far from what
  /// we wait for. An RST has to be exact (RFC 5961 section 3).
  bool believes(const Packet& packet) const noexcept {
    if ((packet.tcp_flags & kTcpRst) != 0) return packet.sequence == client_next;
    if ((packet.tcp_flags & (kTcpAck | kTcpSyn)) != kTcpAck) return false;
    if (packet.ack - sequence > next() - sequence) return false;
    const uint32_t ahead = packet.sequence - client_next;
    return ahead <= kWindow || ahead >= uint32_t{0} - 0xffff;
  }

  /// Whether the client has room for all that we say.
  bool has_room(uint16_t window) const noexcept { return window >= text_bytes; }

  /// Takes a segment that is believed and no RST. Returns whether it wants an answer: there is something in it, or it
  /// is not where we wait (a keep-alive, a probe, something sent twice or out of order).
  bool hear(const Packet& packet) noexcept {
    if (sent != 0 && packet.ack == end()) acknowledged = true;
    const uint32_t length = packet.sequence_length();
    const uint32_t known = client_next - packet.sequence;  // of its bytes
    const bool wants_answer = length != 0 || known != 0;
    if (known < length && !client_closed) {
      client_next = packet.sequence + length;
      client_closed = (packet.tcp_flags & kTcpFin) != 0;
    }
    return wants_answer;
  }
};

static_assert(sizeof(RefusalDialogue) <= 76);

}  // namespace sluice
