// SPDX-License-Identifier: Apache-2.0
//
// How many packet buffers a worker's pool holds and how large they are. Pure. Sizes are derived term by
// term: a pool that is too small shows as loss under load, long after start-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/worker/setup.h"

namespace sluice {

inline constexpr uint32_t kPoolCache = 256;         // mbufs an lcore may hold back in a pool's cache
inline constexpr uint32_t kTwinRingEntries = 1024;  // from_main; usable: one less
inline constexpr uint16_t kTwinDescriptors = 1;     // buffers a twin keeps at the ready
inline constexpr uint16_t kDescriptors = 1024;      // of a device's queue, unless it asks for more

/// A device's queue pair as it draws on a pool; of a bond, those of all its members.
struct QueueDemand {
  uint32_t receive_descriptors = 0;
  uint32_t transmit_descriptors = 0;
  uint32_t driver_extra = 0;  // beyond descriptors: see driver_extra_mbufs()
};

/// Packet buffers that the named driver holds beyond its descriptors.
uint32_t driver_extra_mbufs(const char* driver);

/// Buffers of a worker's pool, 2^n - 1: `queues` are the queue pairs that worker serves, `twins` the twins that
/// take from this pool (all from worker 0's), `peers` the other workers to whom packets may be handed.
uint32_t pool_mbufs(std::span<const QueueDemand> queues, uint32_t twins, uint32_t peers);

/// Room for data in a buffer, headroom included, so that a frame of `mtu` bytes of IP fits into one.
uint16_t pool_data_room(uint16_t mtu);

/// Upper bound of the memory a pool takes. Where buffers may not cross the border of a page, and pages are not huge,
/// every buffer takes a whole page.
size_t pool_bytes(uint32_t mbufs, uint16_t data_room, bool several_to_a_page);

}  // namespace sluice
