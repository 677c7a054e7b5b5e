// SPDX-License-Identifier: Apache-2.0
//
// Counting a packet for its service and its backend: packets and bytes lie side by side, and are added to at once.
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

/// Adds one packet of `bytes` to a pair of counters, packets and bytes, 16-byte aligned.
inline void count_packet(uint64_t* packets, uint32_t bytes) noexcept {
  auto* pair = reinterpret_cast<__m128i*>(packets);
  _mm_store_si128(pair, _mm_add_epi64(_mm_load_si128(pair), _mm_set_epi64x(bytes, 1)));
}

inline void count_towards_backend(channel::WorkerStats& stats, const Flow& flow, uint32_t bytes) noexcept {
  count_packet(&stats.services[flow.service].packets_in, bytes);
  count_packet(&stats.backends[flow.backend].packets_in, bytes);
}

inline void count_towards_client(channel::WorkerStats& stats, const Flow& flow, uint32_t bytes) noexcept {
  count_packet(&stats.services[flow.service].packets_out, bytes);
  count_packet(&stats.backends[flow.backend].packets_out, bytes);
}

}  // namespace sluice
