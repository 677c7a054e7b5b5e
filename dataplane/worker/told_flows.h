// SPDX-License-Identifier: Apache-2.0
//
// What other nodes have told of their flows, as a worker uses it: only for a packet that has no flow here, and only
// with a backend that is here too. Thread safety: none; one worker owns it. The table is written by another thread
// (peers/told_table.h).
#pragma once

#include "dataplane/peers/told_table.h"
#include "dataplane/worker/flow_finder.h"
#include "dataplane/worker/fullnat_ports.h"
#include "dataplane/worker/ownership.h"
#include "dataplane/worker/placement.h"

namespace sluice {

/// A flow of another node, in this node's words. `backend` is kNoBackend if there is none.
struct Resumption {
  channel::BackendId backend = channel::kNoBackend;
  channel::ServiceId service = channel::kNoService;
  Endpoint client;
  LocalPort local;     // fullnat: from which the backend is spoken with
  bool open = false;   // else it may still be in its handshake
  bool asked = false;  // its node waits for the backend's answer itself: see ToldFlow::is_asked()
  uint8_t proxy_bytes = 0;
  std::optional<ToldSplice> splice;

  /// Whether it can go on here.
  explicit operator bool() const noexcept { return backend != channel::kNoBackend && !asked; }
  /// Whether a backend's packet is of the connection that its node waits for. What acknowledges another number is of
  /// another connection of the client's; but a PROXY header may have been sent, and acknowledged, before that is told.
  bool waits_for(const Packet& packet) const noexcept {
    const uint32_t header = (packet.tcp_flags & kTcpSyn) != 0 ? 0 : kMostProxyBytes;
    return asked && splice && packet.ack - splice->sequence <= header;
  }
};

class ToldFlows {
 public:
  ToldFlows(const Context& context, const FlowFinder& finder, const Ownership& ownership, FlowLifecycle& lifecycle,
            Placement& placement) noexcept
      : setup_(context.setup),
        clock_(context.clock),
        table_(context.setup.told),
        flows_(context.flows),
        state_(context.state),
        finder_(finder),
        ownership_(ownership),
        lifecycle_(lifecycle),
        placement_(placement) {}

  /// The flow of a client's packet in mid-stream to `service`. `place`: of the client.
  Resumption of_client(const Packet& packet, channel::ServiceId service, FlowPlace place) noexcept;
  /// Whether a session may be open at a backend that only another node knows, which has yet to say so: while what
  /// others know is still to come, where the hash says nothing of it. It is of a client's packet in mid-stream, without
  /// a flow.
  bool may_yet_come(const Packet& packet, channel::ServiceId service) const noexcept;
  /// The flow of a backend's packet, to the client itself or to an endpoint of a node's own.
  Resumption of_reply(const Packet& packet) const noexcept;
  /// Whether a packet is to an endpoint of the nodes' own from which fullnat speaks, and there are other nodes: if none
  /// of them has told of its flow, one may yet do so.
  bool is_to_nodes(const Packet& packet) const noexcept;
  /// The worker that such a flow is for: its client's. By the port of a node's own endpoint it came to this one.
  uint32_t worker_of(const Packet& reply, const Resumption& told) const noexcept;

  /// Whether of a flow only the client's SYN is known, which may have gone by another node before.
  static bool is_unanswered(const Flow& flow) noexcept {
    return flow.state == TcpState::kSynSent && flow.forwarding() == channel::Forwarding::kNat && !flow.spliced;
  }
  /// A client's segment comes to such a flow. If another node tells that it has the server's answer, the flow goes on
  /// as one that was met in mid-stream. False if another server has answered, to which the client may go on: the flow
  /// is not what it means. `place`: of the client.
  bool meet_unanswered(Flow& flow, const Packet& packet, FlowPlace place) noexcept;
  /// Whether a client's flow gives way to that which another node has told of, and `packet` of another server is of: if
  /// it is over, or silent where the client may have begun its next session, or that server is the first to answer the
  /// client's SYN, which came again by another way and was placed twice. What a server says of an earlier connection of
  /// the client acknowledges another SYN.
  bool gives_way(const Flow& flow, const Packet& packet, const Resumption& told) const noexcept;

 private:
  Resumption resume(const ToldFlow& told, channel::ServiceId service) const noexcept;
  bool may_speak_from(const Resumption& flow, const ToldFlow& told) const noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  const ToldTable* table_;  // null: there are no other nodes
  const FlowTable& flows_;
  const ForwardingState& state_;
  const FlowFinder& finder_;
  const Ownership& ownership_;
  FlowLifecycle& lifecycle_;
  Placement& placement_;
};

}  // namespace sluice
