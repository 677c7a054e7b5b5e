// SPDX-License-Identifier: Apache-2.0
//
// Messages on the channel (DESIGN.md section 3): PODs of one cache line. Commands flow from control to
// a worker, events from a worker to control. Identifiers are small dense integers that control
// chooses; `key` is a hash of the thing's name, by which a restarted control process finds
// the identifiers that are in use (see `Identity` in segment.h). Multi-byte fields are host order
// unless their type says otherwise.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/contract/address.h"

namespace sluice::channel {

using ServiceId = uint16_t;
using BackendId = uint16_t;

inline constexpr uint16_t kMaxServices = 1024;
inline constexpr uint16_t kMaxBackends = 16384;
inline constexpr uint16_t kMaxPorts = 16;
inline constexpr uint16_t kMaxLocals = 32;
inline constexpr uint16_t kMaxTaps = 8;
inline constexpr BackendId kNoBackend = 0xffff;
inline constexpr ServiceId kNoService = 0xffff;

enum class CommandType : uint8_t {
  kSnapshotBegin = 1,  // everything not named until kSnapshotEnd goes
  kSnapshotEnd,
  kPutService,  // insert or replace, by id
  kDropService,
  kPutBackend,
  kDropBackend,
  kPutLocal,  // one of our own addresses, by index
  kDropLocal,
  kPutTap,  // see contract/trace.h
  kDropTap,
  kStartCapture,  // to the main lcore, which is to open the file before taps with kTapCapture are put
  kStopCapture,   // the file goes
};

enum class Forwarding : uint8_t { kNat = 0, kFullnat, kDsr, kIpip, kGue };
enum class Scheduler : uint8_t { kMaglev = 0, kWrr, kLeastConn, kSource };
enum class HashOn : uint8_t { kConnection = 0, kClient, kClientPrefix };
enum class ProxyHeader : uint8_t { kNone = 0, kV1, kV2 };
enum class OnBackendDown : uint8_t { kReset = 0, kKeep };

/// Every message starts with this. `sequence` counts a connection's commands from 1; a worker
/// publishes the last one it has applied (`WorkerStats::applied_sequence`): that is the grace period.
struct CommandHeader {
  CommandType type;
  uint8_t reserved = 0;
  uint16_t id = 0;  // ServiceId or BackendId, by type
  uint32_t sequence = 0;
};

/// Bits of `PutService::flags`.
enum ServiceFlags : uint8_t {
  kServiceUnobserved = 1,  // its dialogues are not watched
};

/// A service and the table by which it places new flows. Entries of a table are `BackendId`s;
/// `kNoBackend` marks an entry that refuses. A table of no entries refuses every new flow.
struct PutService {
  CommandHeader header;
  uint64_t key;  // hash of the service's endpoint: a renamed service keeps its flows
  Address vip;
  Be16 port;
  Forwarding forwarding;
  Scheduler scheduler;
  HashOn hash_on;
  ProxyHeader proxy;
  OnBackendDown on_backend_down;
  uint8_t flags;  // ServiceFlags
  uint16_t mss;   // clamp in bytes; 0 = leave
  uint16_t reserved2;
  uint32_t table_generation;
  uint32_t table_offset;   // in units of kArenaUnit bytes from the arena's start
  uint32_t table_entries;  // count of uint16_t entries
  uint32_t total_weight;   // sum of the effective weights of the backends in the table
};

/// Bits of `PutBackend::flags`.
enum BackendFlags : uint8_t {
  kBackendReachable = 1,  // next_hop is valid
  kBackendDown = 2,       // its flows meet the service's on_backend_down rule
  kBackendCut = 4,        // its flows are reset, whatever that rule, and it gets no new ones
};

/// An endpoint that services forward to. The same pool member on two ports, or under two checks, is two backends.
struct PutBackend {
  CommandHeader header;
  uint64_t key;  // hash of pool, name, address and port, and of the check where several share them
  Address address;
  Be16 port;
  uint16_t generation;  // differs from every earlier use of this id
  MacAddress next_hop;
  uint16_t vlan;             // 0 = untagged
  uint8_t port_index;        // of dataplane.ports, through which it is reached
  uint8_t flags;             // BackendFlags
  uint16_t weight;           // effective weight, for schedulers that compare loads
  uint32_t max_connections;  // this worker's share; 0 = no limit
  ServiceId sole_service;    // the only one that forwards to this endpoint; kNoService = none or several
  uint16_t reserved;
};

/// An address of ours towards backends: the source of fullnat and of tunnels. At most one per port and family is
/// needed; more give fullnat more ports. The kernel must leave alone the TCP ports from kFirstLocalPort to
/// kLastLocalPort. An index keeps its address until it is dropped, and its fullnat flows are lost then.
struct PutLocal {
  CommandHeader header;  // id: its index, below kMaxLocals
  uint64_t key;          // hash of address and port index
  Address address;
  uint16_t generation;  // differs from every earlier use of this index
  uint8_t port_index;   // backends behind this port are reached from it
  uint8_t reserved;
};

inline constexpr uint16_t kFirstLocalPort = 1024;
inline constexpr uint16_t kLastLocalPort = 32767;  // Linux takes its own from 32768 on

/// Bits of `PutTap::flags`.
enum TapFlags : uint8_t {
  kTapTrace = 1,    // tell what is decided
  kTapCapture = 2,  // copy frames as received and as sent
};

/// A tap on packets: those whose client endpoint is in `client`/`prefix_bits` and `client_port`, and whose flow, if
/// they have one, is of `service` and `backend`.
struct PutTap {
  CommandHeader header;  // id: its place, below kMaxTaps
  uint64_t key;          // of this tap, never 0: figures in its place are its own only with this key
  uint64_t deadline_ms;  // CLOCK_MONOTONIC; at most kMaxTapMs ahead
  Address client;
  uint8_t prefix_bits;  // of 128
  uint8_t flags;        // TapFlags
  Be16 client_port;     // 0 = any
  ServiceId service;    // kNoService = any
  BackendId backend;    // kNoBackend = any
  uint32_t packets;     // after which this worker ends it
  uint32_t snap_bytes;  // of a captured frame; 0 = up to the end of its headers
};

inline constexpr uint64_t kMaxTapMs = 3'600'000;

/// A capture: the file that the main lcore writes, in the runtime directory (`capture_file_name`).
struct StartCapture {
  CommandHeader header;
  uint64_t key;
  uint64_t deadline_ms;
  uint64_t packets;
  uint64_t bytes;  // of the file
};

/// A command as it lies in a ring. Exactly one cache line.
union alignas(64) Command {
  uint8_t bytes[64];
  CommandHeader header;
  PutService put_service;
  PutBackend put_backend;
  PutLocal put_local;
  PutTap put_tap;
  StartCapture start_capture;

  Command() : bytes{} {}
  explicit Command(const CommandHeader& message) : Command() { header = message; }
  explicit Command(const PutService& message) : Command() { put_service = message; }
  explicit Command(const PutBackend& message) : Command() { put_backend = message; }
  explicit Command(const PutLocal& message) : Command() { put_local = message; }
  explicit Command(const PutTap& message) : Command() { put_tap = message; }
  explicit Command(const StartCapture& message) : Command() { start_capture = message; }
};

enum class EventType : uint8_t {
  kCommandRejected = 1,  // `id`, `sequence` and `detail` (RejectReason) say which and why
};

enum class RejectReason : uint32_t {
  kUnknownType = 1,
  kIdOutOfRange,
  kTableOutOfArena,
  kBadEnum,
  kBadPortIndex,
  kServiceEndpointTaken,
  kServiceTableFull,
  kLocalIndexTaken,
  kBadTap,
};

/// An event as it lies in a ring.
struct alignas(64) Event {
  EventType type;
  CommandType command;
  uint16_t id;
  uint32_t sequence;
  uint64_t time_ms;  // CLOCK_MONOTONIC
  uint32_t detail;
  uint8_t reserved[44];
};

inline constexpr uint32_t kArenaUnit = 64;

static_assert(sizeof(CommandHeader) == 8);
static_assert(sizeof(PutService) <= 64 && sizeof(PutBackend) <= 64 && sizeof(PutTap) <= 64);
static_assert(sizeof(Command) == 64 && alignof(Command) == 64);
static_assert(sizeof(Event) == 64);
static_assert(std::is_trivially_copyable_v<Command> && std::is_trivially_copyable_v<Event>);

}  // namespace sluice::channel
