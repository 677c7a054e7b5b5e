// SPDX-License-Identifier: Apache-2.0
//
// Mail servers' answers to SYNs between nodes. Where a SYN was answered in its server's place (syn_proxy.h), what the
// client was promised is known at one node alone; where a PROXY header is due (proxy_injector.h), that node sends it
// which has the client's packets. With NAT the server's answer may come to another one: that one passes it on as soon
// as it has been told who waits, and here it is taken if a connection waits for just that. Best effort: what is lost
// the server sends again. Thread safety: none; one worker owns it.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <array>

#include "dataplane/base/token_bucket.h"
#include "dataplane/flow/tcp_track.h"
#include "dataplane/packet/reset.h"
#include "dataplane/peers/passed_answer.h"
#include "dataplane/worker/context.h"

namespace sluice {

class AnswerPassing {
 public:
  static constexpr uint32_t kPerSecond = 100'000;  // as many beginnings are told of (flow_teller.h)

  explicit AnswerPassing(const Context& context) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        out_(context.setup.answers_out),
        in_(context.setup.answers_in),
        budget_(kPerSecond, kPerSecond / 10, context.clock.now_ms()) {}

  /// Whether a segment answers a SYN: takes it or refuses it.
  static bool answers(const Packet& packet) noexcept {
    return has_flags(packet, kTcpSyn | kTcpAck) || (has_flags(packet, kTcpRst | kTcpAck) && packet.sequence == 0);
  }

  /// Passes such a segment on, and frees it. False if it could not be: it is the caller's still.
  bool pass(rte_mbuf* mbuf, const Packet& packet) noexcept {
    if (out_ == nullptr || !budget_.take(clock_.now_ms())) return false;
    const auto* header = rte_pktmbuf_mtod_offset(mbuf, const uint8_t*, packet.l4_offset);
    PassedAnswer answer{.backend = packet.source,
                        .client = packet.destination,
                        .sequence = packet.sequence,
                        .ack = packet.ack,
                        .window = load<Be16>(header + tcp::kWindow),
                        .flags = packet.tcp_flags,
                        .options_bytes = static_cast<uint8_t>(packet.tcp_header_bytes - tcp::kBytes),
                        .options = {}};
    std::copy_n(header + tcp::kBytes, answer.options_bytes, answer.options.begin());
    if (rte_ring_sp_enqueue_elem(out_, &answer, sizeof answer) != 0) return false;
    counters_.count(Counter::kRepliesPassed);
    counters_.count(Counter::kAnswered);
    rte_pktmbuf_free(mbuf);
    return true;
  }

  /// Calls `enter(port, mbuf)` for those of other nodes that a connection waits for, each a frame as if the backend had
  /// sent it to us. Returns whether there was one.
  template <typename Enter>
  bool take(Enter enter) noexcept {
    if (in_ == nullptr) return false;
    std::array<PassedAnswer, kBurst> answers;
    const unsigned n =
        rte_ring_sc_dequeue_burst_elem(in_, answers.data(), sizeof(PassedAnswer), answers.size(), nullptr);
    for (unsigned i = 0; i < n; i++) {
      const Backend* backend = asked_by(answers[i]);
      rte_mbuf* mbuf = backend == nullptr ? nullptr : egress_.take_buffer();
      if (mbuf == nullptr) continue;
      write(*mbuf, answers[i], *backend);
      counters_.count(Counter::kReceived);
      counters_.count(Counter::kRepliesTaken);
      enter(uint32_t{backend->port_index}, mbuf);
    }
    return n != 0;
  }

 private:
  static constexpr uint32_t kBurst = 32;

  /// The backend of a connection that waits for an answer.
  const Backend* asked_by(const PassedAnswer& answer) const noexcept {
    const FlowIndex index = flows_.find(flows_.place(flows_.hash(answer.client)), [&](const Flow& flow) {
      return flow.is_of(answer.client) && is_waiting(flow) && flow.forwarding() == channel::Forwarding::kNat &&
             answer.ack == flow.client_next && state_.backend(flow.backend).endpoint == answer.backend;
    });
    if (index == kNoFlow || !state_.is_current(flows_[index])) return nullptr;
    return &state_.backend(flows_[index].backend);
  }

  /// Whether a flow needs the backend's answer here; where that goes to the client, once more if it was lost.
  bool is_waiting(const Flow& flow) const noexcept {
    if (flow.spliced) return flow.state == TcpState::kSynSent;
    const bool in_handshake = flow.state == TcpState::kSynSent || flow.state == TcpState::kSynReceived;
    return in_handshake && state_.service(flow.service).proxy != channel::ProxyHeader::kNone;
  }

  void write(rte_mbuf& mbuf, const PassedAnswer& answer, const Backend& backend) const noexcept {
    MadeSegment frame;
    frame.source = answer.backend;
    frame.destination = answer.client;
    frame.source_mac = backend.next_hop;
    frame.destination_mac = egress_.mac(backend.port_index);
    frame.vlan = backend.vlan;
    frame.flags = answer.flags;
    frame.sequence = answer.sequence;
    frame.ack = answer.ack;
    frame.window = answer.window;
    frame.options = {answer.options.data(), answer.options_bytes};
    write_segment(mbuf, frame);
    mbuf.port = backend.port_index;
  }

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  rte_ring* out_;
  rte_ring* in_;
  TokenBucket budget_;
};

}  // namespace sluice
