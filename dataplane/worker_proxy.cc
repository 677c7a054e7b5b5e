// SPDX-License-Identifier: Apache-2.0
//
// PROXY headers in packets. The backend speaks first, and only after it has the header, so the header cannot wait for
// the client's first byte: it goes out as a segment of its own as soon as the client has acknowledged the backend's
// SYN. From then on the backend counts the client's stream `proxy_bytes` further than the client does, for the flow's
// whole life. The client knows nothing of these bytes: until they are acknowledged, retransmitting them is ours to do.
#include <array>
#include <cstring>

#include "dataplane/count_packet.h"
#include "dataplane/proxy_header.h"
#include "dataplane/sequence.h"
#include "dataplane/translate.h"
#include "dataplane/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kResendsPerTurn = 32;
constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionTimestamps = 8, kTimestampsBytes = 10;

/// The values of a segment's timestamps option (RFC 7323 section 3.2), if it has one.
bool find_timestamps(const uint8_t* tcp_header, uint32_t header_bytes, uint32_t& value, uint32_t& echo) {
  uint32_t i = tcp::kBytes;
  while (i < header_bytes && tcp_header[i] != kOptionEnd) {
    if (tcp_header[i] == kOptionNop) {
      i++;
      continue;
    }
    const uint32_t length = i + 1 < header_bytes ? tcp_header[i + 1] : 0;
    if (length < 2 || i + length > header_bytes) return false;
    if (tcp_header[i] == kOptionTimestamps && length == kTimestampsBytes) {
      value = load<uint32_t>(tcp_header + i + 2);
      echo = load<uint32_t>(tcp_header + i + 6);
      return true;
    }
    i += length;
  }
  return false;
}

}  // namespace

void Worker::prepare_proxy(Flow& flow, bool opening) noexcept {
  const Service& service = state_.service(flow.service);
  if (service.proxy == channel::ProxyHeader::kNone) return;
  flow.flags |= kFlowSpecial;
  if (opening) return;  // the header goes out when the handshake is complete
  // An adopted flow had its header from whoever had the flow before; its length follows from the endpoints.
  std::array<uint8_t, kMaxProxyHeader> header;
  flow.proxy_bytes =
      static_cast<uint8_t>(write_proxy_header(service.proxy, flow.client_endpoint(), service.vip, header.data()));
}

bool Worker::start_proxy(FlowIndex index, const rte_mbuf& mbuf, const Packet& packet) noexcept {
  Flow& flow = flows_[index];
  const uint32_t entry = pending_.add(index, static_cast<uint32_t>(now_ms_));
  if (entry == ProxyPending::kNone) return false;
  const auto* tcp_header = rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l4_offset;
  PendingHeader& header = pending_[entry];
  header.sequence = packet.sequence;
  header.ack = packet.ack;
  header.payload_bytes = packet.payload_bytes;
  header.window = load<uint16_t>(tcp_header + tcp::kWindow);
  header.has_timestamps =
      find_timestamps(tcp_header, packet.tcp_header_bytes, header.timestamp_value, header.timestamp_echo);
  flow.flags |= kFlowProxyPending;
  flow.bytes_up = entry;
  return true;
}

void Worker::send_proxy_header(uint32_t entry) noexcept {
  const PendingHeader& header = pending_[entry];
  Flow& flow = flows_[header.flow];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  if (!state_.is_current(flow) || (backend.flags & channel::kBackendReachable) == 0) return;
  std::array<uint8_t, kMaxProxyHeader> payload;
  const size_t bytes = write_proxy_header(service.proxy, flow.client_endpoint(), service.vip, payload.data());
  // A reload may have changed the service; what was announced to the backend has to stay.
  if (bytes == 0 || (flow.proxy_bytes != 0 && bytes != flow.proxy_bytes)) return;
  flow.proxy_bytes = static_cast<uint8_t>(bytes);

  rte_mbuf* mbuf = rte_pktmbuf_alloc(setup_.pool);
  if (mbuf == nullptr) return count(Counter::kDropMade);
  std::array<uint8_t, 12> options{kOptionNop, kOptionNop, kOptionTimestamps, kTimestampsBytes};
  std::memcpy(&options[4], &header.timestamp_value, 4);
  std::memcpy(&options[8], &header.timestamp_echo, 4);
  MadeSegment segment;
  segment.source = client_at_backend(flow);
  segment.destination = backend.endpoint;
  segment.source_mac = setup_.port[backend.port_index].mac;
  segment.destination_mac = backend.next_hop;
  segment.vlan = backend.vlan;
  segment.flags = kTcpPsh | kTcpAck;
  segment.sequence = header.sequence;
  segment.ack = header.ack;
  segment.window = Be16{header.window};
  if (header.has_timestamps) segment.options = options;
  segment.payload = std::span<const uint8_t>(payload.data(), bytes);
  write_segment(*mbuf, segment);
  send_made(backend.port_index, mbuf);
}

void Worker::abandon_proxy(Flow& flow) noexcept {
  if ((flow.flags & kFlowProxyPending) == 0) return;
  const uint32_t entry = flow.bytes_up;
  flow.bytes_up = pending_[entry].payload_bytes;
  flow.flags &= static_cast<uint8_t>(~kFlowProxyPending);
  pending_.remove(entry);
}

void Worker::confirm_proxy(Flow& flow, uint32_t raw_ack) noexcept {
  const PendingHeader& header = pending_[flow.bytes_up];
  if (!sequence_before(raw_ack, header.sequence + flow.proxy_bytes)) abandon_proxy(flow);
}

void Worker::resend_proxy_headers() noexcept {
  const auto now = static_cast<uint32_t>(now_ms_);
  for (uint32_t i = 0; i < kResendsPerTurn; i++) {
    const uint32_t entry = pending_.overdue(now);
    if (entry == ProxyPending::kNone) return;
    if (pending_.again(entry, now)) {
      send_proxy_header(entry);
      count(Counter::kProxyHeadersResent);
    } else {
      cut(pending_[entry].flow, Counter::kFlowsCutProxy);  // takes the entry away
    }
  }
}

void Worker::translate_special_from_client(uint32_t i) noexcept {
  const FlowIndex index = burst_.flow[i];
  Flow& flow = flows_[index];
  if (!sees_both_ways(flow)) return forward_one_way(i);
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  const bool was_pending = (flow.flags & kFlowProxyPending) != 0;
  const uint32_t entry = flow.bytes_up;
  const TcpState before = flow.state;
  const uint32_t expected = flow.client_next;
  track_client(flow, packet);
  if (SmtpObserver::client_matters(flow, packet)) watch_client(i, expected);
  if ((flow.flags & kFlowProxyPending) != 0 && was_pending) {
    flow.bytes_up = entry;
    pending_[entry].payload_bytes += packet.payload_bytes;
  }
  const bool wants_header = state_.service(flow.service).proxy != channel::ProxyHeader::kNone;
  const bool completes =
      wants_header && before == TcpState::kSynReceived && flow.state != before && flow.state != TcpState::kReset;
  if (completes && !start_proxy(index, *mbuf, packet)) {
    cut(index, Counter::kFlowsCutProxy);
    return answer_with_reset(i, Counter::kDropProxyPending);
  }
  learn_return_path(flow, i);
  count_towards_backend(*setup_.stats, flow, packet.ip_bytes);

  // A bare ACK goes before the header and so is not shifted; anything more comes after it.
  const bool header_first = completes && packet.sequence_length() != 0;
  if (header_first) send_proxy_header(flow.bytes_up);
  const Backend& backend = state_.backend(flow.backend);
  translate_to_backend(*mbuf, packet, flow);
  if (flow.proxy_bytes != 0 && (packet.tcp_flags & kTcpSyn) == 0) {
    shift_towards_backend(rte_pktmbuf_mtod(mbuf, uint8_t*) + packet.l4_offset, flow.proxy_bytes);
  }
  write_ethernet(*mbuf, packet, backend.next_hop, mac_word_[backend.port_index], backend.vlan);
  send(backend.port_index, mbuf);
  if (completes && !header_first) send_proxy_header(flow.bytes_up);
  if (completes) count(Counter::kProxyHeadersSent);
}

void Worker::translate_special_from_backend(uint32_t i) noexcept {
  Flow& flow = flows_[burst_.flow[i]];
  Packet& packet = burst_.packet[i];
  rte_mbuf* mbuf = burst_.mbuf[i];
  const uint32_t expected = flow.server_next;
  track_backend(flow, packet);
  if (SmtpObserver::backend_matters(flow, packet)) watch_backend(i, expected);
  count_towards_client(*setup_.stats, flow, packet.ip_bytes);
  const bool pending = (flow.flags & kFlowProxyPending) != 0;
  if (flow.proxy_bytes != 0) {
    const uint32_t first = pending ? pending_[flow.bytes_up].sequence : 0;
    shift_towards_client(rte_pktmbuf_mtod(mbuf, uint8_t*) + packet.l4_offset, packet.tcp_header_bytes, flow.proxy_bytes,
                         pending, first);
    if (pending && (packet.tcp_flags & kTcpAck) != 0) confirm_proxy(flow, packet.ack);
  }
  translate_to_client(*mbuf, packet, flow);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  write_ethernet(*mbuf, packet, flow.client_mac, mac_word_[out_port], flow.vlan_and_port & 0x0fff);
  send(out_port, mbuf);
}

}  // namespace sluice
