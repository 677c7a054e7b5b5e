// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/proxy_injector.h"

#include <array>
#include <cstring>

#include "dataplane/flow/tcp_track.h"
#include "dataplane/packet/proxy_header.h"
#include "dataplane/packet/renumber.h"
#include "dataplane/packet/reset.h"
#include "dataplane/packet/sequence.h"
#include "dataplane/packet/tcp_options.h"
#include "dataplane/worker/own_segments.h"

namespace sluice {
namespace {

constexpr uint16_t kWindowUnknown = 1024;  // of a client whose ACK an earlier process saw: enough for a greeting

/// The header that a flow's backend was told of, which stays whatever a reload has made of the service since. Returns
/// its bytes; 0 for none.
size_t write_announced_header(const Flow& flow, const Service& service, uint8_t* out) {
  const size_t now = write_proxy_header(service.proxy, flow.client_endpoint(), service.vip, out);
  if (flow.proxy_bytes == 0 || now == flow.proxy_bytes) return now;
  for (const auto kind : {channel::ProxyHeader::kV1, channel::ProxyHeader::kV2}) {
    if (write_proxy_header(kind, flow.client_endpoint(), service.vip, out) == flow.proxy_bytes) return flow.proxy_bytes;
  }
  return 0;
}

}  // namespace

void ProxyInjector::prepare(Flow& flow, bool opening) const noexcept {
  const Service& service = state_.service(flow.service);
  if (service.proxy == channel::ProxyHeader::kNone) return;
  flow.flags |= kFlowSpecial;
  if (opening) return;  // the header goes out when the handshake is complete
  announce(flow);       // an adopted flow had its header from whoever had the flow before
}

void ProxyInjector::announce(Flow& flow) const noexcept {
  const Service& service = state_.service(flow.service);
  std::array<uint8_t, kMaxProxyHeader> header;  // its length follows from the endpoints
  flow.proxy_bytes =
      write_proxy_header(service.proxy, flow.client_endpoint(), service.vip, header.data()) & kMostProxyBytes;
}

ProxyInjector::ClientAck ProxyInjector::client_ack(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  const auto* tcp_header = rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l4_offset;
  return {.sequence = packet.sequence,
          .ack = packet.ack,
          .payload_bytes = packet.payload_bytes,
          .window = load<Be16>(tcp_header + tcp::kWindow),
          .timestamps = find_timestamps(tcp_header, packet.tcp_header_bytes)};
}

bool ProxyInjector::is_before_header(const Flow& flow, const Packet& packet) noexcept {
  if (opens_or_resets(packet)) return false;
  const uint32_t entry = entry_of(flow);
  if (entry != kNoEntry) return sequence_before(packet.sequence, pending_[entry].sequence);
  return flow.state == TcpState::kSynSent && wants_header(flow);
}

bool ProxyInjector::start(FlowIndex index, uint32_t first, const ClientAck& ack) noexcept {
  Flow& flow = flows_[index];
  const uint32_t entry = pending_.add(index, clock_.now32_ms());
  if (entry == ProxyPending::kNone) return false;
  PendingHeader& header = pending_[entry];
  header.sequence = first;
  header.ack = ack.ack;
  header.payload_bytes = ack.payload_bytes;
  header.window = ack.window.raw;
  header.has_timestamps = ack.timestamps.has_value();
  if (ack.timestamps) {
    header.timestamp_value = ack.timestamps->value;
    header.timestamp_echo = ack.timestamps->echo;
  }
  flow.flags |= kFlowProxyPending;
  note_pending(flow, entry);
  return true;
}

/// Writes down in the flow which header of it is pending.
void ProxyInjector::note_pending(Flow& flow, uint32_t entry) noexcept {
  const uint32_t beyond = flow.client_next - pending_[entry].sequence;
  flow.bytes_up = PendingPlace{entry, beyond}.word();
}

bool ProxyInjector::take_up(FlowIndex index) noexcept {
  Flow& flow = flows_[index];
  const uint32_t beyond = PendingPlace::of(flow.bytes_up).beyond;
  const uint32_t entry = beyond == PendingPlace::kFar ? kNoEntry : pending_.add(index, clock_.now32_ms());
  if (entry == kNoEntry) return false;
  PendingHeader& header = pending_[entry];
  header.sequence = flow.client_next - beyond;
  header.ack = flow.server_next - flow.bytes_down;  // not more than the client has
  header.payload_bytes = beyond;
  header.window = Be16::of(kWindowUnknown).raw;
  note_pending(flow, entry);
  return true;
}

void ProxyInjector::send_entry(uint32_t entry) noexcept {
  const PendingHeader& header = pending_[entry];
  Flow& flow = flows_[header.flow];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  if (!state_.is_current(flow) || (backend.flags & channel::kBackendReachable) == 0) return;
  std::array<uint8_t, kMaxProxyHeader> payload;
  const size_t bytes = write_announced_header(flow, service, payload.data());
  if (bytes == 0) return;
  flow.proxy_bytes = bytes & kMostProxyBytes;

  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  const Renumbering shift = flow.spliced ? flows_.splice(header.flow).to_backend() : Renumbering{};
  const auto options =
      timestamps_option(header.timestamp_value, Be32::of(Be32{header.timestamp_echo}.host() + shift.echo).raw);
  MadeSegment segment = segment_to_backend(state_, egress_, flow);
  segment.flags = kTcpPsh | kTcpAck;
  segment.sequence = header.sequence;
  segment.ack = header.ack + shift.acknowledgement;
  segment.window = Be16{header.window};
  if (header.has_timestamps) segment.options = options;
  segment.payload = std::span<const uint8_t>(payload.data(), bytes);
  write_segment(*mbuf, segment);
  egress_.send_made(backend.port_index, mbuf);
}

void ProxyInjector::abandon(Flow& flow) noexcept {
  if ((flow.flags & kFlowProxyPending) == 0) return;
  const uint32_t entry = PendingPlace::of(flow.bytes_up).entry;
  flow.flags &= static_cast<uint8_t>(~kFlowProxyPending);
  flow.bytes_up = 0;
  if (!pending_.is_of(entry, flows_.index_of(flow))) return;
  flow.bytes_up = pending_[entry].payload_bytes;
  pending_.remove(entry);
}

void ProxyInjector::put_back(Flow& flow, uint32_t entry, const Packet& packet) noexcept {
  if (entry == kNoEntry || (flow.flags & kFlowProxyPending) == 0) return;
  note_pending(flow, entry);
  pending_[entry].payload_bytes += packet.payload_bytes;
  if (may_be_heard_elsewhere(flow) && sequence_before(pending_[entry].ack, packet.ack)) abandon(flow);
}

void ProxyInjector::shift_to_client(rte_mbuf& mbuf, const Packet& packet, Flow& flow) noexcept {
  if (flow.proxy_bytes == 0 || (packet.tcp_flags & kTcpSyn) != 0) return;
  const bool pending = (flow.flags & kFlowProxyPending) != 0;
  const uint32_t first = pending ? pending_[PendingPlace::of(flow.bytes_up).entry].sequence : 0;
  shift_towards_client(rte_pktmbuf_mtod(&mbuf, uint8_t*) + packet.l4_offset, packet.tcp_header_bytes, flow.proxy_bytes,
                       pending, first);
  if (!pending || (packet.tcp_flags & kTcpAck) == 0) return;
  if (!sequence_before(packet.ack, first + flow.proxy_bytes)) abandon(flow);
}

FlowIndex ProxyInjector::resend() noexcept {
  while (resends_left_ != 0) {
    resends_left_--;
    const uint32_t entry = pending_.overdue(clock_.now32_ms());
    if (entry == ProxyPending::kNone) return kNoFlow;
    Flow& flow = flows_[pending_[entry].flow];
    if ((flow.flags & kFlowProxyPending) == 0 || PendingPlace::of(flow.bytes_up).entry != entry) {
      pending_.remove(entry);  // of a flow that is none of its own
      continue;
    }
    if (!pending_.again(entry, clock_.now32_ms())) {
      if (!may_be_heard_elsewhere(flow)) return pending_[entry].flow;
      abandon(flow);
      continue;
    }
    send_entry(entry);
    if (may_be_heard_elsewhere(flow)) teller_.changed(flows_.index_of(flow));
    counters_.count(Counter::kProxyHeadersResent);
  }
  return kNoFlow;
}

}  // namespace sluice
