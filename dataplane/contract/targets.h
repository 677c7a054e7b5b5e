// SPDX-License-Identifier: Apache-2.0
//
// What flows refer to by id: services, backends and addresses of our own, as a worker keeps them at the start of its
// flow memory. Written by that worker as it applies commands, and by nobody else. A control process that knows nothing
// of an earlier one reads there, before its first command, what the data plane goes on with.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/contract/address.h"
#include "dataplane/contract/flow.h"
#include "dataplane/contract/messages.h"

namespace sluice {

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

static_assert(sizeof(Service) == 64 && sizeof(Backend) == 64 && sizeof(Local) == 32);

inline constexpr size_t kServicesOffset = sizeof(FlowMemoryHeader);
inline constexpr size_t kBackendsOffset = kServicesOffset + channel::kMaxServices * sizeof(Service);
inline constexpr size_t kLocalsOffset = kBackendsOffset + channel::kMaxBackends * sizeof(Backend);
inline constexpr size_t kTargetsEnd = kLocalsOffset + channel::kMaxLocals * sizeof(Local);

}  // namespace sluice
