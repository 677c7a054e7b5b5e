// SPDX-License-Identifier: Apache-2.0
//
// The layout of a worker's flow memory: header, services, backends, own addresses (contract/targets.h), index buckets,
// flows, notes of their sessions, splices. Position independent, so that a mapping that outlives the process can be
// adopted by the next one (flow_store.h). The main lcore maps it (flow_memory_bytes), the worker lays it out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/contract/segment.h"
#include "dataplane/contract/session.h"
#include "dataplane/contract/targets.h"
#include "dataplane/flow/splice.h"

namespace sluice {

inline constexpr uint32_t kFlowMemoryVersion = 14;  // raise with any change of layout or meaning
/// Of the same layout, which knew no classes: flows were dealt to workers in another way. A worker that is alone may
/// use it as it lies.
inline constexpr uint32_t kFlowMemoryVersionWithoutClasses = 13;

/// Ten flows' places in the index, in one cache line. A tag of 0 marks a free place.
struct alignas(64) FlowBucket {
  static constexpr uint32_t kPlaces = 10;
  static constexpr uint32_t kSecondary = 0x80000000;  // in `slot`: this is the flow's second choice of bucket

  uint16_t tag[kPlaces];
  uint16_t overflowed;  // flows that belong here and live in their second bucket
  uint16_t reserved;
  uint32_t slot[kPlaces];
};

static_assert(sizeof(FlowBucket) == 64);

/// Buckets for `flow_capacity` flows, an even number: when all are there, 60 % of the places are taken, so one in 25
/// flows lives in its second bucket (Poisson, 6 to a bucket of 10), and inserting hardly ever has to move one.
constexpr uint32_t bucket_count(uint32_t flow_capacity) {
  const uint64_t needed = uint64_t{flow_capacity} / 6 + 2;
  return static_cast<uint32_t>(needed + needed % 2);
}

inline constexpr size_t kBucketsOffset = channel::align_up(kTargetsEnd, 4096);

constexpr size_t flows_offset(uint32_t flow_capacity) {
  return kBucketsOffset + size_t{bucket_count(flow_capacity)} * sizeof(FlowBucket);
}

/// One SessionNotes for each flow. Any bits are good ones: whoever reads an enumeration there checks it.
constexpr size_t notes_offset(uint32_t flow_capacity) {
  return flows_offset(flow_capacity) + size_t{flow_capacity} * sizeof(Flow);
}

/// One Splice for each flow. Any bits are good ones.
constexpr size_t splices_offset(uint32_t flow_capacity) {
  return channel::align_up(notes_offset(flow_capacity) + size_t{flow_capacity} * sizeof(channel::SessionNotes), 64);
}

/// Bytes of flow memory for a table of `flow_capacity` flows (at most 2^31 - 1).
constexpr size_t flow_memory_bytes(uint32_t flow_capacity) {
  return splices_offset(flow_capacity) + size_t{flow_capacity} * sizeof(Splice);
}

}  // namespace sluice
