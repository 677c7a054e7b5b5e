// SPDX-License-Identifier: Apache-2.0
//
// Messages on the channel: PODs of one cache line. Commands flow from control to
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
inline constexpr uint16_t kMaxRoutes = 16;
inline constexpr uint32_t kMaxIdleTimeoutMs = 604'800'000;
inline constexpr uint16_t kMaxBackends = 16384;
inline constexpr uint16_t kMaxPorts = 16;
inline constexpr uint16_t kMaxLocals = 32;
inline constexpr uint16_t kMaxInspections = 8;
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
  kStartInspection,  // see contract/trace.h
  kStopInspection,
  kStartCapture,     // to the main lcore, which is to open the file before inspections with kInspectForCapture are put
  kStopCapture,      // the file goes
  kMoveRouter,       // what went to one station of a port goes to another
  kPutSources,       // who may not begin sessions, in place of what was said before
  kPutRefusal,       // what a service's clients are told with 421, until the service is put again
  kPutLimits,        // how many sessions a source may have, in place of what was said before
  kPutRoute,         // clients that have a table of their own in a service, by place
  kPutSecret,        // by which clients are placed; a snapshot begins without one
  kPutServerRoutes,  // where the mail servers' own traffic goes, in place of what was said before
};

enum class Forwarding : uint8_t { kNat = 0, kFullnat, kDsr, kIpip, kGue };
enum class Scheduler : uint8_t { kMaglev = 0, kWrr, kLeastConn, kSource };
enum class HashOn : uint8_t { kConnection = 0, kClient, kClientPrefix };
enum class ProxyHeader : uint8_t { kNone = 0, kV1, kV2 };
enum class OnBackendDown : uint8_t { kReset = 0, kKeep };
/// What a client hears whose connection no backend can take.
enum class OnNoBackend : uint8_t { kReset = 0, kSilence, k421 };
/// Who answers a client's SYN: the backend, or we, with nothing kept until the client has answered us; kAuto: we, while
/// handshakes pile up.
enum class SynProxy : uint8_t { kOff = 0, kAuto, kAlways };

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
  OnNoBackend on_no_backend;
  SynProxy syn_proxy;  // kOff with a forwarding that sees one half of a connection
  uint32_t table_generation;
  uint32_t table_offset;     // in units of kArenaUnit bytes from the arena's start
  uint32_t table_entries;    // count of uint16_t entries
  uint32_t total_weight;     // sum of the effective weights of the backends in the table
  uint32_t idle_timeout_ms;  // of its established flows, at most kMaxIdleTimeoutMs; 0 = as the worker was told
};

/// Bits of `PutBackend::flags`.
enum BackendFlags : uint8_t {
  kBackendReachable = 1,  // next_hop is valid
  kBackendDown = 2,       // its flows meet the service's on_backend_down rule
  kBackendCut = 4,        // its flows are reset, whatever that rule, and it gets no new ones
  kBackendLeaving = 8,    // its dialogues end with 421 where no message is under way
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
  uint8_t flags;        // LocalFlags
};

/// Bits of `PutLocal::flags`.
enum LocalFlags : uint8_t {
  kLocalOfPeer = 1,  // another node's: flows that it has told of go on from it, and no new one begins
};

inline constexpr uint16_t kFirstLocalPort = 1024;
inline constexpr uint16_t kLastLocalPort = 32767;  // Linux takes its own from 32768 on

/// Bits of `StartInspection::flags`.
enum InspectionFlags : uint8_t {
  kInspectForTrace = 1,    // tell what is decided
  kInspectForCapture = 2,  // copy frames as received and as sent
};

/// An inspection on packets: those whose client endpoint is in `client`/`prefix_bits` and `client_port`, and whose
/// flow, if they have one, is of `service` and `backend`.
struct StartInspection {
  CommandHeader header;  // id: its place, below kMaxInspections
  uint64_t key;          // of this inspection, never 0: figures in its place are its own only with this key
  uint64_t deadline_ms;  // CLOCK_MONOTONIC; at most kMaxInspectionMs ahead
  Address client;
  uint8_t prefix_bits;  // of 128
  uint8_t flags;        // InspectionFlags
  Be16 client_port;     // 0 = any
  ServiceId service;    // kNoService = any
  BackendId backend;    // kNoBackend = any
  uint32_t packets;     // after which this worker ends it
  uint32_t snap_bytes;  // of a captured frame; 0 = up to the end of its headers
};

inline constexpr uint64_t kMaxInspectionMs = 3'600'000;

/// A capture: the file that the main lcore writes, in the runtime directory (`capture_file_name`).
struct StartCapture {
  CommandHeader header;
  uint64_t key;
  uint64_t deadline_ms;
  uint64_t packets;
  uint64_t bytes;  // of the file
};

/// A router, or a client on the link, has moved to another MAC address. Flows whose replies went to `from` behind the
/// port go to `to` from now on, until their clients are heard from elsewhere. Not part of a snapshot.
struct MoveRouter {
  CommandHeader header;
  MacAddress from;
  MacAddress to;
  uint8_t port_index;
  uint8_t reserved;
};

/// Values of `PutSources::header.id`.
enum SourceListId : uint16_t {
  kBlockedSources = 0,  // may not begin sessions
  kExemptSources,       // no limit holds for them
  kRefusedSources,      // may not begin sessions, and hear so, as when no backend can take them
  kSourceLists
};

/// A list of sources in the arena (contract/source_list.h). Of no borders at all, it names nobody. Part of a snapshot:
/// one that names no list drops the list.
struct PutSources {
  CommandHeader header;  // id: which list, a SourceListId
  uint32_t offset;       // in units of kArenaUnit bytes from the arena's start
  uint32_t v4_borders;
  uint32_t v6_borders;
};

/// Clients that have a table of their own in a service: a list as of PutSources, and a table as of PutService. Of
/// several that name a client, the first holds. Part of a snapshot: one that does not name it drops it. Follows the
/// service's PutService.
struct PutRoute {
  CommandHeader header;  // id: its place, below kMaxRoutes
  ServiceId service;     // kNoService: there is no such route
  uint16_t reserved;
  uint32_t table_generation;
  uint32_t table_offset;
  uint32_t table_entries;
  uint32_t sources_offset;
  uint32_t v4_borders;
  uint32_t v6_borders;
};

/// The limits on a source's sessions: a LimitRules in the arena (contract/limits.h), which is copied. Part of a
/// snapshot, as PutSources is. Sessions are counted anew where `layout` is another, which it has to be wherever the
/// prefixes of a rule, or the services that it holds for, are others.
struct PutLimits {
  CommandHeader header;
  uint32_t offset;  // in units of kArenaUnit bytes from the arena's start
  uint32_t rules;   // 0 = there are none
  uint32_t layout;  // counted by the connection, from 1
};

/// The text after "421 " by which a service refuses: printable ASCII. Follows the service's PutService, which sets
/// kDefaultRefusal.
struct PutRefusal {
  static constexpr uint8_t kMaxBytes = 55;

  CommandHeader header;  // id: of the service
  uint8_t bytes;         // of the text, 1 to kMaxBytes
  char text[kMaxBytes];
};

inline constexpr char kDefaultRefusal[] = "4.3.2 try again later";

/// Where the mail servers' own traffic goes: a table in the arena (contract/server_routes.h). Of no borders at all, all
/// of it is the kernel's. Part of a snapshot, as PutSources is.
struct PutServerRoutes {
  CommandHeader header;
  uint32_t offset;  // in units of kArenaUnit bytes from the arena's start
  uint32_t v4_borders;
  uint32_t v6_borders;
  uint32_t hops;
};

/// The site's secret of contract/placement.h.
struct PutSecret {
  CommandHeader header;
  uint64_t secret;
};

/// A command as it lies in a ring. Exactly one cache line.
union alignas(64) Command {
  uint8_t bytes[64];
  CommandHeader header;
  PutService put_service;
  PutBackend put_backend;
  PutLocal put_local;
  StartInspection start_inspection;
  StartCapture start_capture;
  MoveRouter move_router;
  PutSources put_sources;
  PutRefusal put_refusal;
  PutLimits put_limits;
  PutRoute put_route;
  PutSecret put_secret;
  PutServerRoutes put_server_routes;

  Command() : bytes{} {}
  explicit Command(const CommandHeader& message) : Command() { header = message; }
  explicit Command(const PutService& message) : Command() { put_service = message; }
  explicit Command(const PutBackend& message) : Command() { put_backend = message; }
  explicit Command(const PutLocal& message) : Command() { put_local = message; }
  explicit Command(const StartInspection& message) : Command() { start_inspection = message; }
  explicit Command(const StartCapture& message) : Command() { start_capture = message; }
  explicit Command(const MoveRouter& message) : Command() { move_router = message; }
  explicit Command(const PutSources& message) : Command() { put_sources = message; }
  explicit Command(const PutRefusal& message) : Command() { put_refusal = message; }
  explicit Command(const PutLimits& message) : Command() { put_limits = message; }
  explicit Command(const PutRoute& message) : Command() { put_route = message; }
  explicit Command(const PutSecret& message) : Command() { put_secret = message; }
  explicit Command(const PutServerRoutes& message) : Command() { put_server_routes = message; }
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
  kBadInspection,
  kBadSources,
  kBadRefusal,
  kBadLimits,
  kBadTimeout,
  kBadServerRoutes,
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
static_assert(sizeof(PutService) <= 64 && sizeof(PutBackend) <= 64 && sizeof(StartInspection) <= 64);
static_assert(sizeof(Command) == 64 && alignof(Command) == 64);
static_assert(sizeof(Event) == 64);
static_assert(std::is_trivially_copyable_v<Command> && std::is_trivially_copyable_v<Event>);

}  // namespace sluice::channel
