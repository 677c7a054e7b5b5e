// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/ownership.h"

#include "dataplane/flow/local_ports.h"

namespace sluice {

bool Ownership::is_ours(const Endpoint& to) const noexcept {
  return is_local_port(to.port) && state_.find_local(to.address) != channel::kMaxLocals;
}

uint32_t Ownership::of_reply(const Endpoint& to) const noexcept {
  return is_ours(to) ? local_port_owner(to.port, owners_.workers()) : of_client(to);
}

uint32_t Ownership::of_quoted(const IcmpError& error) const noexcept {
  // What it quotes was sent by a VIP to a client, or by a client to a backend.
  const bool by_vip = state_.find_service(error.source) != channel::kNoService;
  return by_vip ? of_client(error.destination) : of_reply(error.source);
}

}  // namespace sluice
