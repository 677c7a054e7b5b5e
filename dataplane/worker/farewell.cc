// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/farewell.h"

#include "dataplane/packet/tcp_options.h"
#include "dataplane/smtp/command.h"
#include "dataplane/worker/own_segments.h"
#include "dataplane/worker/return_path.h"

namespace sluice {
namespace {

/// Whether a client has the server's last reply, and has said nothing that the server lacks but what is in the segment.
/// Both numbers are the very ones, so that nobody who guesses ends a session.
bool has_all(const Flow& flow, const Packet& packet) {
  constexpr uint8_t kBeginsOrEnds = kTcpSyn | kTcpFin | kTcpRst;
  return (packet.tcp_flags & (kBeginsOrEnds | kTcpAck)) == kTcpAck && packet.sequence == flow.client_next &&
         packet.ack == flow.server_next;
}

/// Whether it begins with a whole command that 421 may answer.
bool begins_command(const rte_mbuf& mbuf, const Packet& packet) {
  const ObservedSegment segment = observed_segment(mbuf, packet, packet.sequence);
  if (segment.payload == nullptr) return false;
  const uint8_t* at = segment.payload;
  CommandLine line;
  if (!read_command(at, segment.payload + segment.bytes, line)) return false;
  switch (line.command) {
    case SmtpCommand::kEhlo:
    case SmtpCommand::kMail:
    case SmtpCommand::kReset:
    case SmtpCommand::kOther:
      return true;
    default:
      return false;
  }
}

}  // namespace

Farewell::Farewell(const Context& context, SmtpObserver& observer, FlowLifecycle& lifecycle,
                   Responder& responder) noexcept
    : clock_(context.clock),
      counters_(context.counters),
      flows_(context.flows),
      state_(context.state),
      egress_(context.egress),
      observer_(observer),
      lifecycle_(lifecycle),
      responder_(responder),
      ports_(context.setup.ports),
      asked_(kAskedPerSecond, kAskedPerSecond, context.clock.now_ms()) {}

bool Farewell::tell(Burst& burst, uint32_t i) noexcept {
  const FlowIndex index = burst.flow[i];
  Flow& flow = flows_[index];
  const Packet& packet = burst.packet[i];
  rte_mbuf* mbuf = burst.mbuf[i];
  if (flow.state != TcpState::kEstablished || !has_all(flow, packet)) return false;
  if (!observer_.is_between_messages(index, flow)) return false;
  if (packet.payload_bytes != 0 ? !begins_command(*mbuf, packet) : !is_silent(flow)) return false;
  lifecycle_.end_told(index);
  learn_return_path(burst, i, flow);
  flow.client_next = end_of(packet);  // it is for us now
  const auto* tcp_header = rte_pktmbuf_mtod(mbuf, const uint8_t*) + packet.l4_offset;
  responder_.tell(flow, flow.server_next, find_timestamps(tcp_header, packet.tcp_header_bytes));
  counters_.count(Counter::kAnswered);
  rte_pktmbuf_free(mbuf);
  return true;
}

void Farewell::ask_if_silent(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  const uint32_t port = port_to_client(flow);
  if (flow.state != TcpState::kEstablished || !is_silent(flow) || port >= ports_) return;
  if (!observer_.is_between_messages(index, flow) || !asked_.take(clock_.now_ms())) return;
  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  MadeSegment probe = segment_to_client(state_, egress_, flow);
  probe.flags = kTcpAck;
  probe.sequence = flow.server_next - 1;
  probe.ack = flow.client_next;
  probe.window = Be16::of(RefusalDialogue::kWindow);
  write_segment(*mbuf, probe);
  egress_.send_made(port, mbuf);
  counters_.count(Counter::kClientsAsked);
}

}  // namespace sluice
