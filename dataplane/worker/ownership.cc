// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/ownership.h"

#include "dataplane/flow/local_ports.h"

namespace sluice {

uint32_t Ownership::of_reply(const Endpoint& to, uint64_t hash) const noexcept {
  const bool to_us = is_local_port(to.port) && state_.find_local(to.address) != channel::kMaxLocals;
  return to_us ? local_port_owner(to.port, setup_.workers) : of_client(hash);
}

uint32_t Ownership::of_quoted(const IcmpError& error) const noexcept {
  // What it quotes was sent by a VIP to a client, or by a client to a backend.
  const bool by_vip = state_.find_service(error.source) != channel::kNoService;
  const Endpoint& far = by_vip ? error.destination : error.source;
  const uint64_t hash = flows_.hash(far);
  return by_vip ? of_client(hash) : of_reply(far, hash);
}

}  // namespace sluice
