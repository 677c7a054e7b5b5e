// SPDX-License-Identifier: Apache-2.0
//
// What a worker counts, as its parts reach it: plain additions to the worker's own block, which control reads
// (contract/counters.h). Packets and bytes of a service or backend lie side by side, and are added to at once.
// Thread safety: one writer, the worker.
#pragma once

#include <emmintrin.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/contract/segment.h"

namespace sluice {

static_assert(offsetof(channel::ServiceCounters, packets_in) % 16 == 0);
static_assert(offsetof(channel::ServiceCounters, packets_out) % 16 == 0);
static_assert(offsetof(channel::BackendCounters, packets_in) % 16 == 0);
static_assert(offsetof(channel::BackendCounters, packets_out) % 16 == 0);

using channel::Counter;

class Counters {
 public:
  explicit Counters(channel::WorkerStats& stats) noexcept : stats_(stats) {}

  void count(Counter counter, uint64_t n = 1) noexcept { stats_.counters[static_cast<size_t>(counter)] += n; }
  void set_gauge(Counter gauge, uint64_t value) noexcept { stats_.counters[static_cast<size_t>(gauge)] = value; }
  void lower_gauge(Counter gauge) noexcept { stats_.counters[static_cast<size_t>(gauge)]--; }
  uint64_t operator[](Counter counter) const noexcept { return stats_.counters[static_cast<size_t>(counter)]; }
  /// All of them, in the order of `Counter`.
  const uint64_t* all() const noexcept { return stats_.counters; }

  channel::ServiceCounters& service(channel::ServiceId id) noexcept { return stats_.services[id]; }
  channel::BackendCounters& backend(channel::BackendId id) noexcept { return stats_.backends[id]; }

  /// One packet of `bytes` of IP from a client to a backend, or back.
  void packet_to_backend(channel::ServiceId service, channel::BackendId backend, uint32_t bytes) noexcept {
    add_packet(&stats_.services[service].packets_in, bytes);
    add_packet(&stats_.backends[backend].packets_in, bytes);
  }
  void packet_to_client(channel::ServiceId service, channel::BackendId backend, uint32_t bytes) noexcept {
    add_packet(&stats_.services[service].packets_out, bytes);
    add_packet(&stats_.backends[backend].packets_out, bytes);
  }
  void packet_to_backend(const Flow& flow, uint32_t bytes) noexcept {
    packet_to_backend(flow.service, flow.backend, bytes);
  }
  void packet_to_client(const Flow& flow, uint32_t bytes) noexcept {
    packet_to_client(flow.service, flow.backend, bytes);
  }

 private:
  /// `packets`: a pair of counters, packets and bytes, 16-byte aligned.
  static void add_packet(uint64_t* packets, uint32_t bytes) noexcept {
    auto* pair = reinterpret_cast<__m128i*>(packets);
    _mm_store_si128(pair, _mm_add_epi64(_mm_load_si128(pair), _mm_set_epi64x(bytes, 1)));
  }

  channel::WorkerStats& stats_;
};

}  // namespace sluice
