// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/fullnat_ports.h"

#include "dataplane/flow/local_ports.h"
#include "dataplane/peers/told_table.h"

namespace sluice {
namespace {

constexpr uint32_t kProbes = 24;
constexpr uint32_t kMostSharing = 8;        // flows, each to another backend, with one local port
constexpr uint32_t kReuseAfterMs = 60'000;  // of a closed flow's port: as long as a server's TIME_WAIT in Linux

}  // namespace

bool FullnatPorts::may_reuse(const Flow& flow) const noexcept {
  if (flow.state != TcpState::kClosed) return false;
  const uint32_t left_ms = flow.deadline_ms - clock_.now32_ms();
  return static_cast<int32_t>(left_ms + kReuseAfterMs - setup_.timers.closing_ms) <= 0;
}

bool FullnatPorts::is_with_peer(LocalPort local, const Backend& backend) const noexcept {
  if (setup_.told == nullptr) return false;
  const auto told = setup_.told->from_local({state_.local(local.index).address, local.port}, backend.endpoint);
  return told && told->stage == FlowStage::kOpen;
}

LocalPort FullnatPorts::take(const Backend& backend) noexcept {
  const auto locals = state_.locals_at(backend.port_index, backend.endpoint.address.is_v4());
  const uint32_t ports = local_ports_of(setup_.index, setup_.workers);
  const auto choices = static_cast<uint32_t>(locals.size()) * ports;
  LocalPort shared;
  uint32_t shared_by = kMostSharing;
  FlowIndex unfinished = kNoFlow;
  // Drawn at random (RFC 6056 section 3.3.1): what is taken does not lie in rows, so few draws find what is free.
  for (uint32_t probe = 0; probe < kProbes && choices != 0; probe++) {
    const uint32_t n = random_.draw(choices);
    const LocalPort candidate{locals[n / ports], local_port(n % ports, setup_.index, setup_.workers)};
    uint32_t sharing = 0;
    const FlowPlace place = flows_.place(flows_.hash_local(candidate.index, candidate.port));
    const FlowIndex other = flows_.find(place, [&](const Flow& flow) {
      const bool is_there = flow.forwarding() == channel::Forwarding::kFullnat &&
                            flow.local_index() == candidate.index && flow.local_port == candidate.port;
      sharing += is_there ? 1 : 0;
      return is_there && state_.backend(flow.backend).endpoint == backend.endpoint;
    });
    if (other != kNoFlow && may_reuse(flows_[other])) {
      lifecycle_.forget(other);
      return candidate;
    }
    if (other != kNoFlow) {
      const TcpState state = flows_[other].state;
      if (state == TcpState::kSynSent || state == TcpState::kSynReceived) unfinished = other;
    } else if (is_with_peer(candidate, backend)) {
      continue;
    } else if (sharing == 0) {
      return candidate;
    } else if (sharing < shared_by) {
      shared = candidate;
      shared_by = sharing;
    }
  }
  if (shared.port.raw != 0 || unfinished == kNoFlow) return shared;
  // A flood of handshakes may take all ports: one of them is given up, and the backend told.
  const LocalPort freed{flows_[unfinished].local_index(), flows_[unfinished].local_port};
  resets_.to_backend(flows_[unfinished]);
  lifecycle_.forget(unfinished);
  counters_.count(Counter::kFlowsRecycledEmbryonic);
  return freed;
}

}  // namespace sluice
