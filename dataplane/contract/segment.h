// SPDX-License-Identifier: Apache-2.0
//
// Shared memory between data plane and control. Descriptors go over the Unix
// socket in one SCM_RIGHTS message with the `Hello` below:
//   1. the channel segment, fresh for every connection, read and written by both: rings and arena;
//   2. the statistics, one for the life of the data plane, read-only to control: counters must not
//      start again when control does;
//   3. and following: the flow memory of each worker, read-only to control (contract/flow.h, contract/targets.h).
// Everything is at offsets; both sides check every offset against the mapped size.
#pragma once

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/contract/counters.h"
#include "dataplane/contract/flow.h"
#include "dataplane/contract/limits.h"
#include "dataplane/contract/messages.h"
#include "dataplane/contract/observation.h"
#include "dataplane/contract/peers.h"
#include "dataplane/contract/ports.h"
#include "dataplane/contract/session.h"

namespace sluice::channel {

inline constexpr uint64_t kSegmentMagic = 0x314c484345554c53;  // "SLUECHL1"
inline constexpr uint64_t kStatsMagic = 0x315441535345554c;
inline constexpr uint32_t kAbiVersion = 21;     // raise with any change to this directory
inline constexpr uint32_t kRingEntries = 4096;  // usable: one less
inline constexpr uint32_t kMaxWorkers = 64;
inline constexpr uint64_t kArenaBytes = 256ULL << 20;  // sparse: costs what is written

/// The data plane's only words on the socket; the descriptors ride along. The connection then stays
/// open and silent; its end tells either side that the other is gone.
struct Hello {
  uint64_t magic = kSegmentMagic;
  uint32_t abi_version = kAbiVersion;
  uint32_t flow_memories = 0;  // how many follow the first two descriptors: one per worker
};

inline constexpr uint32_t kMaxDescriptors = 2 + kMaxWorkers;

/// At offset 0 of the channel segment. Written by the data plane before it sends the descriptor.
struct alignas(64) SegmentHeader {
  uint64_t magic;
  uint32_t abi_version;
  uint32_t workers;
  uint64_t segment_bytes;
  uint64_t rings_offset;  // workers x (command, event and trace ring), main's commands; each ring_stride bytes; then
                          // sessions' and hellos'
  uint64_t ring_stride;
  uint64_t arena_offset;
  uint64_t arena_bytes;
};

/// Who uses an id: written by the worker as it applies puts and drops, read by a newly connected
/// control, which keeps the ids of what it knows by `key` and gives no id that is in use elsewhere.
struct Identity {
  uint64_t key;  // 0 = free
  uint16_t generation;
  uint16_t reserved[3];
};

/// What became of an inspection on one worker.
struct alignas(64) InspectionStats {
  uint64_t key;      // of the inspection that this is about; 0 = none yet
  uint64_t active;   // 0 once it has ended
  uint64_t packets;  // seen by it
  uint64_t skipped;  // that were its own and came faster than the inspection may take them
  uint64_t lost;     // records or copies that found their ring or pool full
  uint64_t reserved[3];
};

/// One per worker. Written by that worker alone.
struct alignas(64) WorkerStats {
  uint64_t applied_sequence;  // of the current connection; stored with release after the command took effect
  uint64_t segment_epoch;     // which connection's segment the worker is on
  uint64_t reserved[6];
  alignas(64) uint64_t counters[kCounterCount];
  alignas(64) ServiceCounters services[kMaxServices];
  BackendCounters backends[kMaxBackends];
  Identity service_ids[kMaxServices];
  Identity backend_ids[kMaxBackends];
  Identity local_ids[kMaxLocals];
  SmtpCounters service_smtp[kMaxServices];
  SmtpCounters backend_smtp[kMaxBackends];
  InspectionStats inspections[kMaxInspections];
  LimitCounters limits[kMaxLimits];
};

enum class CaptureState : uint32_t {
  kNone = 0,
  kRunning,  // the file is open: inspections may be put
  kEnded,    // the file is whole
  kFailed,   // see `error`
};

/// The capture that was started last. Written by the main lcore; `key` and `state` last, with release.
struct alignas(64) CaptureStatus {
  uint64_t key;
  uint64_t packets;
  uint64_t bytes;
  CaptureState state;
  uint32_t error;  // errno of kFailed
  uint64_t reserved[4];
};

/// At offset 0 of the statistics, followed by `workers` WorkerStats at kWorkerStatsOffset, and the
/// LimitTable of all workers at limit_table_offset().
struct alignas(64) StatsHeader {
  uint64_t magic;
  uint32_t abi_version;
  uint32_t workers;
  uint64_t stats_bytes;
  uint64_t segment_epoch;  // of the newest connection; the segment sent with it has this number
  uint64_t tsc_hz;
  uint64_t start_time_ms;  // CLOCK_REALTIME at which the data plane started
  uint32_t pid;
  uint32_t ports;
  FlowTimers timers;
  CaptureStatus capture;
  PortStatus port[kMaxPorts];  // those that commands name by their place here
  PeersStatus peers;
};

inline constexpr size_t align_up(size_t n, size_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

inline constexpr size_t kWorkerStatsOffset = align_up(sizeof(StatsHeader), 4096);
inline constexpr size_t kWorkerStatsStride = align_up(sizeof(WorkerStats), 4096);

inline constexpr size_t limit_table_offset(uint32_t workers) {
  return kWorkerStatsOffset + workers * kWorkerStatsStride;
}

inline constexpr size_t stats_bytes(uint32_t workers) {
  return limit_table_offset(workers) + sizeof(LimitTable);
}

/// Bytes of one ring with its header: what `rte_ring_get_memsize_elem(64, kRingEntries)` gives.
inline constexpr size_t kRingBytes = align_up(sizeof(rte_ring) + size_t{kRingEntries} * 64, 64);
inline constexpr size_t kRingStride = align_up(kRingBytes, 4096);
inline constexpr size_t kRingsOffset = align_up(sizeof(SegmentHeader), 4096);

inline constexpr size_t kRingsPerWorker = 3;

/// Likewise of a ring of session records; one for each worker, behind the other rings.
inline constexpr size_t kSessionRingStride =
    align_up(sizeof(rte_ring) + size_t{kSessionRingEntries} * sizeof(SessionRecord), 4096);

/// And of a ring of pieces of hellos, behind those.
inline constexpr size_t kHelloRingStride =
    align_up(sizeof(rte_ring) + size_t{kHelloRingEntries} * sizeof(HelloPiece), 4096);

inline constexpr size_t session_rings_offset(uint32_t workers) {
  return kRingsOffset + (size_t{workers} * kRingsPerWorker + 1) * kRingStride;
}

inline constexpr size_t hello_rings_offset(uint32_t workers) {
  return session_rings_offset(workers) + workers * kSessionRingStride;
}

inline constexpr size_t arena_offset(uint32_t workers) {
  return hello_rings_offset(workers) + workers * kHelloRingStride;
}

inline constexpr size_t segment_bytes(uint32_t workers) {
  return arena_offset(workers) + kArenaBytes;
}

/// Puts all of `items` or none. Single producer. Returns whether they fit.
template <typename T>
bool put_all(rte_ring* ring, std::span<const T> items) {
  static_assert(sizeof(T) == 64);
  return rte_ring_sp_enqueue_bulk_elem(ring, items.data(), sizeof(T), static_cast<unsigned>(items.size()), nullptr) !=
         0;
}

/// Takes up to `items.size()`. Single consumer. Returns the count taken.
template <typename T>
unsigned take_some(rte_ring* ring, std::span<T> items) {
  static_assert(sizeof(T) == 64);
  return rte_ring_sc_dequeue_burst_elem(ring, items.data(), sizeof(T), static_cast<unsigned>(items.size()), nullptr);
}

/// The ring at place `index` in a mapped segment that starts at `base`.
inline rte_ring* ring_at(void* base, size_t index) {
  return reinterpret_cast<rte_ring*>(static_cast<std::byte*>(base) + kRingsOffset + index * kRingStride);
}

/// The command ring of `worker`.
inline rte_ring* command_ring(void* base, uint32_t worker) {
  return ring_at(base, size_t{worker} * kRingsPerWorker);
}

/// The event ring of `worker`.
inline rte_ring* event_ring(void* base, uint32_t worker) {
  return ring_at(base, size_t{worker} * kRingsPerWorker + 1);
}

/// The ring of `worker`'s trace records.
inline rte_ring* trace_ring(void* base, uint32_t worker) {
  return ring_at(base, size_t{worker} * kRingsPerWorker + 2);
}

/// The ring of `worker`'s session records, in a segment of `workers`.
inline rte_ring* session_ring(void* base, uint32_t workers, uint32_t worker) {
  return reinterpret_cast<rte_ring*>(static_cast<std::byte*>(base) + session_rings_offset(workers) +
                                     worker * kSessionRingStride);
}

/// Likewise of pieces of its clients' hellos.
inline rte_ring* hello_ring(void* base, uint32_t workers, uint32_t worker) {
  return reinterpret_cast<rte_ring*>(static_cast<std::byte*>(base) + hello_rings_offset(workers) +
                                     worker * kHelloRingStride);
}

/// The ring of commands to the main lcore of a data plane with `workers`.
inline rte_ring* main_ring(void* base, uint32_t workers) {
  return ring_at(base, size_t{workers} * kRingsPerWorker);
}

/// The statistics of `worker` in a mapping that starts at `base`.
inline const WorkerStats& worker_stats(const void* base, uint32_t worker) {
  return *reinterpret_cast<const WorkerStats*>(static_cast<const std::byte*>(base) + kWorkerStatsOffset +
                                               worker * kWorkerStatsStride);
}

/// The counts of all workers' sources, likewise.
inline const LimitTable& limit_table(const void* base, uint32_t workers) {
  return *reinterpret_cast<const LimitTable*>(static_cast<const std::byte*>(base) + limit_table_offset(workers));
}

}  // namespace sluice::channel
