// SPDX-License-Identifier: Apache-2.0
//
// One flow: everything a worker knows about a TCP connection, in one cache line without pointers, so that it
// may lie in memory that outlives the process. Written by one worker only. `state` is cleared
// before and set after the other fields, so an entry torn by a crash reads as free.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"

namespace sluice {

/// TCP as a middlebox sees it (RFC 9293 section 3.3.2, seen from between). In DESIGN.md's words, kSynSent to kAdopted
/// are embryonic, kClientFin to kReset closing.
enum class TcpState : uint8_t {
  kFree = 0,
  kSynSent,      // the client's SYN went on
  kSynReceived,  // the backend answered it
  kAdopted,      // met in mid-stream; the backend has not yet answered
  kEstablished,
  kClientFin,
  kServerFin,
  kClosed,  // FINs both ways
  kReset,
};

constexpr bool is_embryonic(TcpState state) {
  return state >= TcpState::kSynSent && state <= TcpState::kAdopted;
}
constexpr bool is_closing(TcpState state) {
  return state >= TcpState::kClientFin;
}

/// Adds to what counts up to 2^32 - 1 and stays there.
inline void add_saturating(uint32_t& sum, uint32_t n) {
  if (__builtin_add_overflow(sum, n, &sum)) sum = UINT32_MAX;
}

/// Bits of `Flow::flags`.
enum FlowFlags : uint8_t {
  kFlowCut = 1,      // we reset it: packets are answered with RST
  kFlowCounted = 2,  // counted in flows_now of its backend and service
  kFlowSpecial = 4,  // more than NAT is to be done: another forwarding, or a PROXY header that shifts sequence numbers
  kFlowProxyPending = 8,  // the header is not yet acknowledged; bytes_up is its place among the pending
};

struct alignas(64) Flow {
  Address client;
  Be16 client_port;
  channel::ServiceId service;
  channel::BackendId backend;
  uint16_t backend_generation;  // must equal the backend's, or the backend is another one by now
  uint32_t deadline_ms;         // low 32 bits of CLOCK_MONOTONIC milliseconds
  uint32_t first_seen_ms;       // of the first packet; once established, of the end of the handshake
  uint32_t client_next;         // sequence number that the client will use next, as the client counts
  uint32_t server_next;
  uint32_t bytes_up;  // TCP payload from the client, saturating; while embryonic: place in the embryonic ring
  uint32_t bytes_down;
  MacAddress client_mac;   // return path: where the client's last packet came from
  uint16_t vlan_and_port;  // VLAN id in the low 12 bits, port index in the upper 4
  Be16 local_port;         // fullnat: our endpoint towards the backend
  uint8_t mode;            // forwarding() in the upper 3 bits, local_index() in the lower 5
  TcpState state;
  uint8_t flags;
  uint8_t smtp_phase;   // see smtp_observer.h
  uint8_t proxy_bytes;  // length of the injected PROXY header: the flow's sequence offset
  uint8_t smtp_detail;  // likewise

  /// How its packets reach the backend: its service's forwarding when it was placed.
  channel::Forwarding forwarding() const { return static_cast<channel::Forwarding>(mode >> 5); }
  /// fullnat: which of our addresses local_port belongs to.
  uint8_t local_index() const { return mode & 0x1f; }
  void set_mode(channel::Forwarding forwarding, uint8_t local_index = 0) {
    mode = static_cast<uint8_t>(static_cast<uint8_t>(forwarding) << 5 | local_index);
  }

  Endpoint client_endpoint() const { return {client, client_port}; }
  bool is_of(const Endpoint& endpoint) const {
    return (Address::difference(client, endpoint.address) |
            static_cast<uint64_t>(client_port.raw ^ endpoint.port.raw)) == 0;
  }
};

static_assert(static_cast<uint8_t>(channel::Forwarding::kGue) < 8 && channel::kMaxLocals <= 32);
static_assert(sizeof(Flow) == 64 && alignof(Flow) == 64);
static_assert(std::is_trivially_copyable_v<Flow> && std::is_standard_layout_v<Flow>);

using FlowIndex = uint32_t;
inline constexpr FlowIndex kNoFlow = 0xffffffff;

}  // namespace sluice
