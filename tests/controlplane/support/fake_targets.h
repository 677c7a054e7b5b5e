// SPDX-License-Identifier: Apache-2.0
//
// What a worker keeps beside its flows of those that it forwards to.
#pragma once

#include <cstddef>
#include <cstring>

#include "dataplane/contract/messages.h"
#include "tests/controlplane/support/flow_memory_header.h"

namespace sluice::control {

/// Into the flow memory, what a worker has been told of: its `services`, `backends` and `locals` by their ids.
template <typename Worker>
void write_targets(const Worker& worker, std::byte* memory) {
  auto* services = reinterpret_cast<sluice::Service*>(memory + kServicesOffset);
  auto* backends = reinterpret_cast<sluice::Backend*>(memory + kBackendsOffset);
  auto* locals = reinterpret_cast<sluice::Local*>(memory + kLocalsOffset);
  std::memset(memory + kServicesOffset, 0, kTargetsEnd - kServicesOffset);
  for (const auto& [id, put] : worker.services) {
    services[id] = {.vip = {put.vip, put.port},
                    .forwarding = put.forwarding,
                    .proxy = put.proxy,
                    .on_backend_down = put.on_backend_down,
                    .in_use = true,
                    .mss = put.mss,
                    .on_no_backend = put.on_no_backend,
                    .syn_proxy = put.syn_proxy,
                    .idle_timeout_ms = put.idle_timeout_ms,
                    .key = put.key};
  }
  for (const auto& [id, put] : worker.backends) {
    backends[id] = {.endpoint = {put.address, put.port},
                    .port_index = put.port_index,
                    .generation = put.generation,
                    .flags = put.flags,
                    .in_use = true,
                    .next_hop = put.next_hop,
                    .vlan = put.vlan,
                    .sole_service = put.sole_service,
                    .key = put.key};
  }
  for (const auto& [id, put] : worker.locals) {
    locals[id] = {.address = put.address,
                  .generation = put.generation,
                  .port_index = put.port_index,
                  .in_use = true,
                  .of_peer = (put.flags & channel::kLocalOfPeer) != 0,
                  .key = put.key};
  }
}

}  // namespace sluice::control
