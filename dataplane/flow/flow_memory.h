// SPDX-License-Identifier: Apache-2.0
//
// The layout of a worker's flow memory: header, services, backends, index buckets, flows, notes of their sessions,
// splices. Position independent, so that a mapping that outlives the process can be adopted by the next one
// (flow_store.h). The main lcore maps it (flow_memory_bytes), the worker lays it out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/contract/messages.h"
#include "dataplane/contract/segment.h"
#include "dataplane/contract/session.h"
#include "dataplane/flow/splice.h"
#include "dataplane/packet/checksum.h"

namespace sluice {

inline constexpr uint32_t kFlowMemoryVersion = 13;  // raise with any change of layout or meaning

/// A service as a worker keeps it. Tables of backends lie in the channel's arena and are not part of this.
struct alignas(64) Service {
  Endpoint vip;
  channel::Forwarding forwarding;
  channel::Scheduler scheduler;
  channel::HashOn hash_on;
  channel::ProxyHeader proxy;
  channel::OnBackendDown on_backend_down;
  bool in_use;
  uint16_t mss;
  uint8_t flags;  // channel::ServiceFlags
  channel::OnNoBackend on_no_backend;
  channel::SynProxy syn_proxy;
  uint32_t total_weight;     // of the backends in its table
  uint32_t idle_timeout_ms;  // of its established flows
  EndpointSums sums;         // of the VIP
  uint64_t key;
};

/// A backend as a worker keeps it.
struct alignas(64) Backend {
  Endpoint endpoint;
  uint8_t port_index;
  uint8_t reserved;
  uint16_t generation;  // with flags and in_use: one word, see is_serving()
  uint8_t flags;        // channel::BackendFlags
  bool in_use;
  MacAddress next_hop;
  uint16_t vlan;
  EndpointSums sums;  // of the endpoint
  uint32_t max_connections;
  channel::ServiceId sole_service;  // as channel::PutBackend's
  uint16_t weight;
  uint32_t flows_now;
  uint64_t key;

  /// Whether this is the backend that a flow was placed on, reachable and not down.
  bool is_serving(uint16_t flow_generation) const {
    uint32_t word;
    __builtin_memcpy(&word, &generation, sizeof word);
    return word == (uint32_t{flow_generation} | uint32_t{channel::kBackendReachable} << 16 | 1U << 24);
  }
};

static_assert(offsetof(Backend, generation) == 20 && offsetof(Backend, flags) == 22 && offsetof(Backend, in_use) == 23);

/// One of our own addresses towards backends, or of another node's whose flows may have to go on from here.
struct alignas(32) Local {
  Address address;
  uint16_t address_sum;
  uint16_t generation;
  uint8_t port_index;
  bool in_use;
  bool of_peer;  // channel::kLocalOfPeer
  uint64_t key;
};

/// Ten flows' places in the index, in one cache line. A tag of 0 marks a free place.
struct alignas(64) FlowBucket {
  static constexpr uint32_t kPlaces = 10;
  static constexpr uint32_t kSecondary = 0x80000000;  // in `slot`: this is the flow's second choice of bucket

  uint16_t tag[kPlaces];
  uint16_t overflowed;  // flows that belong here and live in their second bucket
  uint16_t reserved;
  uint32_t slot[kPlaces];
};

static_assert(sizeof(Service) == 64 && sizeof(Backend) == 64 && sizeof(Local) == 32 && sizeof(FlowBucket) == 64);

/// Buckets for `flow_capacity` flows, an even number: when all are there, 60 % of the places are taken, so one in 25
/// flows lives in its second bucket (Poisson, 6 to a bucket of 10), and inserting hardly ever has to move one.
constexpr uint32_t bucket_count(uint32_t flow_capacity) {
  const uint64_t needed = uint64_t{flow_capacity} / 6 + 2;
  return static_cast<uint32_t>(needed + needed % 2);
}

inline constexpr size_t kServicesOffset = sizeof(FlowMemoryHeader);
inline constexpr size_t kBackendsOffset = kServicesOffset + channel::kMaxServices * sizeof(Service);
inline constexpr size_t kLocalsOffset = kBackendsOffset + channel::kMaxBackends * sizeof(Backend);
inline constexpr size_t kBucketsOffset = channel::align_up(kLocalsOffset + channel::kMaxLocals * sizeof(Local), 4096);

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
