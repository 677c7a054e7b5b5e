// SPDX-License-Identifier: Apache-2.0
//
// Moves a flow's TCP state, sequence numbers, byte counts and deadline by its segments (flow/tcp_track.h says how). The
// fast path does the same for established flows in its own words. Each returns whether the segment is believed: one
// that is not is counted, and has changed nothing of its flow.
#pragma once

#include <algorithm>

#include "dataplane/flow/lone_dialogue.h"
#include "dataplane/flow/tcp_track.h"
#include "dataplane/packet/window_scale.h"
#include "dataplane/worker/flow_lifecycle.h"

namespace sluice {

class TcpTracker {
 public:
  TcpTracker(const Context& context, FlowLifecycle& lifecycle) noexcept
      : counters_(context.counters),
        flows_(context.flows),
        lifecycle_(lifecycle),
        has_peers_(context.setup.told != nullptr) {}

  bool client_segment(Flow& flow, const Packet& packet, const rte_mbuf& mbuf) noexcept {
    const ServerSeen seen = server_seen(flow, has_peers_);
    if (!enters(flow, judge_client(flow, packet, seen))) return false;
    count_packet(flow, packet, flow.packets_up, flow.client_next, true);
    if ((packet.tcp_flags & kTcpSyn) != 0) {
      note_syn(flow, packet, window_scale(mbuf, packet).shift);
    } else if ((packet.tcp_flags & kTcpRst) == 0) {
      move_by_client(flow, packet, seen);
    }
    if (!is_embryonic(flow.state)) add_saturating(flow.bytes_up, packet.payload_bytes);
    return true;
  }

  bool server_segment(Flow& flow, const Packet& packet, const rte_mbuf& mbuf) noexcept {
    const TcpState before = flow.state;
    if (!enters(flow, judge_backend(flow, packet))) return false;
    count_packet(flow, packet, flow.packets_down, flow.server_next, false);
    if ((packet.tcp_flags & kTcpSyn) != 0) {
      // Windows are scaled if both have announced it.
      const WindowScale scale = window_scale(mbuf, packet);
      flow.set_window_scale(scale.announced ? std::max(scale.shift, flow.window_scale()) : uint8_t{0});
      note_syn_ack(flow, packet, before == TcpState::kSynSent);
    } else if ((packet.tcp_flags & kTcpRst) == 0) {
      const uint32_t expected = flow.server_next;
      move_by_backend(flow, packet, before == TcpState::kAdopted);
      if (flow.state == TcpState::kSynReceived) flow.bytes_down += flow.server_next - expected;
    }
    if (!is_embryonic(flow.state)) add_saturating(flow.bytes_down, packet.payload_bytes);
    return true;
  }

  /// Of a client whose server is not seen (dsr, tunnels).
  bool lone_client_segment(Flow& flow, const Packet& packet) noexcept {
    const TcpState before = flow.state;
    Judgement judgement = judge_lone_client(flow, packet);
    if (judgement.believed && (packet.tcp_flags & (kTcpSyn | kTcpRst)) == 0) {
      if (before == TcpState::kSynSent) {
        flow.server_next = packet.ack;
        flow.bytes_down = 0;
      }
      if (is_embryonic(judgement.next) && note_dialogue(flow, packet)) judgement.next = TcpState::kEstablished;
    }
    if (!enters(flow, judgement)) return false;
    count_packet(flow, packet, flow.packets_up, flow.client_next, true);
    if (is_embryonic(before) && !is_embryonic(flow.state)) {
      flow.bytes_up = said_in_dialogue(flow);
      flow.bytes_down = 0;
    }
    if ((packet.tcp_flags & kTcpSyn) != 0) {
      note_syn(flow, packet, kLargestWindowScale);  // the server's is not seen
    } else if ((packet.tcp_flags & kTcpRst) == 0) {
      move_by_lone_client(flow, packet);
    }
    if (!is_embryonic(flow.state)) add_saturating(flow.bytes_up, packet.payload_bytes);
    return true;
  }

 private:
  bool enters(Flow& flow, Judgement judgement) noexcept {
    if (!judgement.believed) [[unlikely]] {
      counters_.count(Counter::kSegmentsNotBelieved);
      return false;
    }
    if (judgement.next != flow.state) lifecycle_.set_state(flow, judgement.next);
    flow.deadline_ms = lifecycle_.deadline_ms_of(flow);
    return true;
  }

  /// `next`: the number that its sender was to use next; there is none before its first packet.
  void count_packet(const Flow& flow, const Packet& packet, uint16_t& packets, uint32_t next,
                    bool from_client) noexcept {
    if (packets != 0 && flow.state != TcpState::kAdopted && is_sent_again(packet, next)) [[unlikely]]
      flows_.notes()[flows_.index_of(flow)].count_sent_again(from_client);
    channel::count_up(packets);
  }

  Counters& counters_;
  FlowTable& flows_;
  FlowLifecycle& lifecycle_;
  bool has_peers_;
};

}  // namespace sluice
