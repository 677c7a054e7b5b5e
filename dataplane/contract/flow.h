// SPDX-License-Identifier: Apache-2.0
//
// One flow: everything a worker knows about a TCP connection, in one cache line without pointers, so that it
// may lie in memory that outlives the process. Written by one worker only. `state` is cleared
// before and set after the other fields, so an entry torn by a crash reads as free. Control may read entries
// while they change: an entry is of one flow if `state` was not free before and after it was read, and a second
// reading finds the same flow in it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/contract/address.h"
#include "dataplane/contract/messages.h"

namespace sluice {

/// TCP as a middlebox sees it (RFC 9293 section 3.3.2, seen from between). kSynSent to kAdopted
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

/// Whether a session is under way: the handshake is over, and the session not.
constexpr bool is_open(TcpState state) {
  return state >= TcpState::kEstablished && state <= TcpState::kServerFin;
}

/// Adds to what counts up to 2^32 - 1 and stays there.
inline void add_saturating(uint32_t& sum, uint32_t n) {
  if (__builtin_add_overflow(sum, n, &sum)) sum = UINT32_MAX;
}

/// Idle times after which a flow in that state is forgotten, in milliseconds.
struct FlowTimers {
  uint32_t handshake_ms = 60'000;
  uint32_t established_ms = 7'440'000;
  uint32_t closing_ms = 240'000;
  uint32_t after_reset_ms = 10'000;
};

inline uint32_t timeout_ms(TcpState state, const FlowTimers& timers) {
  switch (state) {
    case TcpState::kEstablished:
    case TcpState::kAdopted:
      return timers.established_ms;
    case TcpState::kClientFin:
    case TcpState::kServerFin:
    case TcpState::kClosed:
      return timers.closing_ms;
    case TcpState::kReset:
      return timers.after_reset_ms;
    case TcpState::kFree:
    case TcpState::kSynSent:
    case TcpState::kSynReceived:
      break;
  }
  return timers.handshake_ms;
}

/// Bits of `Flow::flags`.
enum FlowFlags : uint8_t {
  kFlowCut = 1,      // we reset it: packets are answered with RST
  kFlowCounted = 2,  // counted in flows_now of its backend and service
  kFlowSpecial = 4,  // more than NAT is to be done: another forwarding, or a PROXY header that shifts sequence numbers
  kFlowProxyPending = 8,  // the header is not yet acknowledged; bytes_up is a PendingPlace
  kFlowWindow = 0xf0,     // largest_window(): 2^30 halved so many times; 0 where the handshake was not seen
};

/// `Flow::bytes_up` while a PROXY header is pending: where among the pending it is, which dies with the process, and
/// how far client_next is beyond the number where the header starts, so that a successor can send it again.
struct PendingPlace {
  static constexpr uint32_t kFar = 0xffff;

  uint32_t entry;   // below 2^16
  uint32_t beyond;  // kFar: so far, or further

  static constexpr PendingPlace of(uint32_t bytes_up) { return {bytes_up & 0xffff, bytes_up >> 16}; }
  constexpr uint32_t word() const { return entry | (beyond < kFar ? beyond : kFar) << 16; }
};

struct alignas(64) Flow {
  Address client;
  Be16 client_port;
  channel::ServiceId service;
  channel::BackendId backend;
  uint16_t backend_generation;  // must equal the backend's, or the backend is another one by now
  uint32_t deadline_ms;         // low 32 bits of CLOCK_MONOTONIC milliseconds
  uint16_t packets_up;          // believed segments from the client, saturating
  uint16_t packets_down;        // likewise from the backend
  uint32_t client_next;         // sequence number that the client will use next, as the client counts
  uint32_t server_next;
  uint32_t bytes_up;       // TCP payload from the client, saturating; while embryonic: place in the embryonic ring
  uint32_t bytes_down;     // likewise from the backend; in kSynSent: payload of the client's SYN; see lone_dialogue.h
  MacAddress client_mac;   // return path: where the client's last packet came from
  uint16_t vlan_and_port;  // VLAN id in the low 12 bits, port index in the upper 4
  Be16 local_port;         // fullnat: our endpoint towards the backend
  uint8_t mode;            // forwarding() in the upper 3 bits, local_index() in the lower 5
  TcpState state;
  uint8_t flags;
  uint8_t smtp_phase;       // see smtp_observer.h
  uint8_t proxy_bytes : 7;  // length of the injected PROXY header: by it the backend counts the client's stream further
  bool spliced : 1;         // its client's SYN was answered by us: see flow/splice.h
  uint8_t smtp_detail;      // likewise

  /// How its packets reach the backend: its service's forwarding when it was placed.
  channel::Forwarding forwarding() const { return static_cast<channel::Forwarding>(mode >> 5); }
  /// fullnat: which of our addresses local_port belongs to.
  uint8_t local_index() const { return mode & 0x1f; }
  void set_mode(channel::Forwarding forwarding, uint8_t local_index = 0) {
    mode = static_cast<uint8_t>(static_cast<uint8_t>(forwarding) << 5 | local_index);
  }

  /// The largest window that either side can announce (RFC 7323 section 2.2), rounded up to a power of two.
  uint32_t largest_window() const { return (1U << 30) >> (flags >> 4); }
  /// By the larger of both sides' window scales, at most 14.
  void set_window_scale(uint8_t scale) { flags = static_cast<uint8_t>((flags & ~kFlowWindow) | (14 - scale) << 4); }
  uint8_t window_scale() const { return static_cast<uint8_t>(14 - (flags >> 4)); }

  Endpoint client_endpoint() const { return {client, client_port}; }
  bool is_of(const Endpoint& endpoint) const {
    return (Address::difference(client, endpoint.address) |
            static_cast<uint64_t>(client_port.raw ^ endpoint.port.raw)) == 0;
  }
};

/// What `Flow::proxy_bytes` can hold.
inline constexpr uint8_t kMostProxyBytes = 0x7f;

static_assert(static_cast<uint8_t>(channel::Forwarding::kGue) < 8 && channel::kMaxLocals <= 32);
static_assert(sizeof(Flow) == 64 && alignof(Flow) == 64);
static_assert(std::is_trivially_copyable_v<Flow> && std::is_standard_layout_v<Flow>);

/// What `state` is of a flow that another process writes. Pairs with the worker's release store in a new flow.
inline TcpState read_state(const Flow& flow) {
  return static_cast<TcpState>(__atomic_load_n(reinterpret_cast<const uint8_t*>(&flow.state), __ATOMIC_ACQUIRE));
}

using FlowIndex = uint32_t;
inline constexpr FlowIndex kNoFlow = 0xffffffff;

/// Values of `Flow::smtp_phase`. Zero is that of a flow just made.
enum class SmtpPhase : uint8_t {
  kNew = 0,
  kAnswered,      // the backend has answered the SYN
  kCommands,      // commands and replies, the greeting being the first reply
  kCommandsLost,  // likewise, but which reply answers what is not known; 354 puts that right
  kMessage,       // between DATA's 354 and the reply to the end of data
  kMessageEdge,   // likewise, and the client's last segment ended in what may begin the end of data
  kClosing,       // the server has said that it closes: nothing more to see but the end
  kTlsHello,      // the client's first record is awaited
  kTlsHandshake,  // begun
  kTlsConfirm,    // the client has sent application data
  kTlsEstablished,
  kTlsFailed,
  kLost,   // cannot be followed any more
  kEnded,  // counted
  kOff,    // not watched
  kCount
};

static_assert(static_cast<uint32_t>(SmtpPhase::kCount) <= 16);

/// What a reply answers.
enum class SmtpCommand : uint8_t {
  kNone = 0,
  kConnect,  // the greeting answers the connection itself
  kEhlo,     // HELO and LHLO too
  kStartTls,
  kAuth,  // and the lines of the exchange that follows it
  kMail,
  kRcpt,
  kData,
  kChunk,      // BDAT, but for the last
  kEndOfData,  // the end of a message: the dot, or the last BDAT
  kQuit,
  kOther,
  kReset,  // RSET
};
inline constexpr SmtpCommand kLastSmtpCommand = SmtpCommand::kReset;

/// Bits of `Flow::smtp_detail`.
enum SmtpDetail : uint8_t {
  kSmtpLow = 0x0f,       // kCommands, kCommandsLost: the SmtpCommand whose reply is due; kMessageEdge: an EndOfData
  kSmtpDialogue = 0x10,  // it has a Dialogue
  kSmtpEarly = 0x20,     // the client did not wait for the greeting
  kSmtpAuth = 0x40,      // the client's next line continues AUTH
  kSmtpQuit = 0x80,      // QUIT or 221 was seen; with kClosing and not set: the server refused
};

/// What a port is known by from one run to the next; its place in the configuration may change.
struct PortIdentity {
  uint64_t name_hash;  // 0: unknown
  MacAddress mac;      // all zero: unknown
  uint16_t reserved;
};

/// At the start of a worker's flow memory. Read by control too, which has the memory from `Hello` on, read-only.
struct alignas(64) FlowMemoryHeader {
  uint64_t magic;  // written last
  uint32_t version;
  uint32_t flow_capacity;
  uint32_t bucket_count;                  // even
  uint32_t workers;                       // between whom the flows were dealt
  uint64_t hash_seed;                     // secret of this table
  uint64_t boot_id;                       // of the kernel whose CLOCK_MONOTONIC the deadlines count in
  uint64_t flows_offset;                  // of the first of flow_capacity flows
  uint32_t flows_used;                    // flows at and beyond this index have never been taken
  uint32_t ports;                         // how many of `port` there are
  PortIdentity port[channel::kMaxPorts];  // that the indices in flows, backends and own addresses mean
  uint64_t started_ms;                    // CLOCK_MONOTONIC of the last start with this memory
  uint32_t short_runs;                    // runs in a row, before that one, that ended soon and not in order
  uint32_t classes;       // of clients, by which they were dealt; 0: in another way (flow/owner_table.h)
  uint64_t notes_offset;  // of the first of flow_capacity channel::SessionNotes
  uint32_t more_reserved[10];
};

static_assert(sizeof(FlowMemoryHeader) == 384 && sizeof(PortIdentity) == 16);

inline constexpr uint64_t kFlowMemoryMagic = 0x31574f4c46554c53;  // "SLUFLOW1"

}  // namespace sluice
