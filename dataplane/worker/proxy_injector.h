// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers in packets. The backend speaks first, and only after it has the header, so the header cannot wait for
// the client's first byte: it goes out as a segment of its own as soon as the client has acknowledged the backend's
// SYN. From then on the backend counts the client's stream `proxy_bytes` further than the client does, for the flow's
// whole life. The client knows nothing of these bytes: until they are acknowledged, retransmitting them is ours to do.
// Meanwhile a flow's `bytes_up` is a PendingPlace. With NAT and other nodes the backend's words may go by another of
// them: what the client acknowledges then says that the backend has spoken, and so has the header; if it is not heard
// of for long, that is no evidence of anything. The other node lets the backend's words through once it has been told
// that the session is open, which is told again with each attempt, as it may be that word that was lost. Thread safety:
// none; one worker owns it.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/flow/proxy_pending.h"
#include "dataplane/packet/packet.h"
#include "dataplane/packet/tcp_options.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/flow_teller.h"

namespace sluice {

class ProxyInjector {
 public:
  static constexpr uint32_t kNoEntry = ProxyPending::kNone;

  explicit ProxyInjector(const Context& context) noexcept
      : clock_(context.clock),
        counters_(context.counters),
        flows_(context.flows),
        state_(context.state),
        egress_(context.egress),
        teller_(context.clock, context.counters, context.setup.tells),
        has_peers_(context.setup.told != nullptr) {}

  void begin_poll() noexcept { resends_left_ = kResendsPerPoll; }

  bool wants_header(const Flow& flow) const noexcept {
    return state_.service(flow.service).proxy != channel::ProxyHeader::kNone;
  }
  /// Makes a new flow one with a PROXY header, if its service wants that. `opening`: it begins here.
  void prepare(Flow& flow, bool opening) const noexcept;
  /// The segment that completes a handshake, as the client sent it.
  struct ClientAck {
    uint32_t sequence;
    uint32_t ack;
    uint32_t payload_bytes;
    Be16 window;
    std::optional<TcpTimestamps> timestamps;
  };
  static ClientAck client_ack(const rte_mbuf& mbuf, const Packet& packet) noexcept;
  /// Before the segment that may complete a handshake is tracked: the flow says how long its header will be, as other
  /// nodes are told with its state. `proxy_bytes` is to be 0 again if it does not complete it.
  void announce(Flow& flow) const noexcept;
  /// Whether a client's segment may bring the backend bytes before the header or in its place: sooner than the backend
  /// has answered the SYN, or, while the header is not acknowledged, from before the client's first number. A client
  /// could forge a header by it, and an honest one has nothing there that it does not send again.
  bool is_before_header(const Flow& flow, const Packet& packet) noexcept;
  /// A flow's handshake is complete by `ack`: its header is due, send_header() follows. `first`: the client's first
  /// number after its SYN, where the header goes; the segment that completes the handshake need not be the first that
  /// the client has sent. False if too many are under way.
  bool start(FlowIndex index, uint32_t first, const ClientAck& ack) noexcept;
  void send_header(const Flow& flow) noexcept { send_entry(PendingPlace::of(flow.bytes_up).entry); }

  /// Queues anew the header that an earlier process sent for an adopted flow and had not seen acknowledged. False if
  /// it is not known where it began, or too many are under way.
  bool take_up(FlowIndex index) noexcept;

  /// Before the client's segment is tracked, which counts in `bytes_up`: the flow's entry, or kNoEntry.
  uint32_t entry_of(const Flow& flow) const noexcept {
    return (flow.flags & kFlowProxyPending) != 0 ? PendingPlace::of(flow.bytes_up).entry : kNoEntry;
  }
  /// And after: the payload that came is counted where it belongs, if the entry is still there.
  void put_back(Flow& flow, uint32_t entry, const Packet& packet) noexcept;

  /// Renumbers a segment for the client, who does not know of the header. Not a SYN-ACK, which is older than it.
  void shift_to_client(rte_mbuf& mbuf, const Packet& packet, Flow& flow) noexcept;

  /// The header needs no more care: it has arrived, or its flow is over.
  void abandon(Flow& flow) noexcept;

  /// Sends again the headers that are overdue, a few in each poll iteration. Returns a flow whose header was sent in
  /// vain too often and that is to be cut, which takes its entry away; to be called until it returns kNoFlow. One whose
  /// backend may have answered another node is left alone.
  FlowIndex resend() noexcept;

 private:
  static constexpr uint32_t kResendsPerPoll = 32;

  /// Whether nothing that a flow's backend has said has passed here, and it may pass elsewhere.
  bool may_be_heard_elsewhere(const Flow& flow) const noexcept {
    return has_peers_ && flow.forwarding() == channel::Forwarding::kNat && flow.bytes_down == 0;
  }
  void note_pending(Flow& flow, uint32_t entry) noexcept;
  void send_entry(uint32_t entry) noexcept;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  FlowTeller teller_;
  bool has_peers_;
  ProxyPending pending_;
  uint32_t resends_left_ = 0;  // in this poll iteration
};

}  // namespace sluice
