// SPDX-License-Identifier: Apache-2.0
//
// The fast path: all the way for what nearly every packet is, a segment in mid-connection of an established NAT flow,
// untagged, over IPv4 or IPv6. Does what the slow path does, with all that such a packet does not need left out, and
// leaves every other packet to it.
#include <immintrin.h>
#include <rte_cycles.h>

#include <algorithm>

#include "dataplane/flow/tcp_track.h"
#include "dataplane/flow/translate.h"
#include "dataplane/worker/next_hop_check.h"
#include "dataplane/worker/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kIpAt = kEthernetBytes;
template <bool kV6>
constexpr uint32_t kTcpAt = kIpAt + (kV6 ? ipv6::kBytes : ipv4::kBytes);
template <bool kV6>
constexpr uint32_t kHopsAt = kIpAt + (kV6 ? ipv6::kHopLimit : ipv4::kTtl);

/// A NAT flow that is established, and of which nothing special is to be done.
bool takes_fast_path(const Flow& flow) {
  static_assert(offsetof(Flow, mode) == 58 && offsetof(Flow, state) == 59 && offsetof(Flow, flags) == 60);
  constexpr uint32_t kMode = 0xe0, kState = 0xff00, kFlags = uint32_t{kFlowCut | kFlowSpecial} << 16;
  uint32_t word;
  __builtin_memcpy(&word, &flow.mode, sizeof word);
  return (word & (kMode | kState | kFlags)) ==
         (static_cast<uint32_t>(channel::Forwarding::kNat) << 5 | static_cast<uint32_t>(TcpState::kEstablished) << 8);
}

__m128i difference(const Address& a, const Address& b) {
  return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a.bytes.data())),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(b.bytes.data())));
}

/// Whether a packet's ends are these: both at once.
bool is_between(const Flow& flow, const Endpoint& other, const Endpoint& client_end, const Endpoint& other_end) {
  const __m128i addresses =
      _mm_or_si128(difference(flow.client, client_end.address), difference(other.address, other_end.address));
  const int ports = (flow.client_port.raw ^ client_end.port.raw) | (other.port.raw ^ other_end.port.raw);
  return _mm_testz_si128(addresses, addresses) != 0 && ports == 0;
}

/// Both numbers the very ones: what nearly every segment of a dialogue has, and is believed without further ado.
bool is_expected(const Packet& packet, uint32_t next, uint32_t other_next) {
  return ((packet.sequence ^ next) | (packet.ack ^ other_next)) == 0;
}

/// As translate.h's rewrite_endpoint(), at offsets that are known.
template <Side kSide, bool kV6>
void rewrite(uint8_t* data, const Endpoint& to, const EndpointSums& before, const EndpointSums& after) {
  uint8_t* l4 = data + kTcpAt<kV6>;
  store(l4 + (kSide == Side::kSource ? tcp::kSourcePort : tcp::kDestinationPort), to.port.raw);
  if constexpr (kV6) {
    rewrite_ipv6_address<kSide>(data + kIpAt, l4, to.address, before, after);
  } else {
    rewrite_ipv4_address<kSide>(data + kIpAt, l4, to.address, before, after);
  }
}

/// As its write_ethernet().
template <bool kV6>
void write_addresses(uint8_t* data, const MacAddress& destination, uint64_t source_word) {
  __builtin_memcpy(data, destination.bytes.data(), 6);
  store(data + 6, source_word | uint64_t{Be16::of(kV6 ? kEtherTypeIpv6 : kEtherTypeIpv4).raw} << 48);
}

}  // namespace

template <bool kV6>
[[gnu::always_inline]] inline bool Worker::fast_path_from_client(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  rte_mbuf* mbuf = burst_.mbuf[i];
  auto* data = rte_pktmbuf_mtod(mbuf, uint8_t*);
  const uint32_t out_port = backend.port_index;
  if (!is_between(flow, service.vip, packet.source, packet.destination)) return false;
  if (!packet.plain || !takes_fast_path(flow) || !backend.is_serving(flow.backend_generation)) return false;
  if (data[kHopsAt<kV6>] <= 1 || packet.ip_bytes > egress_.mtu(out_port) || backend.vlan != 0) return false;

  const bool is_next = is_expected(packet, flow.client_next, flow.server_next);
  if (!is_next && !believes_client(flow, packet.sequence, packet.ack)) return false;

  const uint32_t expected = flow.client_next;
  if (!is_next) note_if_sent_again(i, true, expected);
  flow.client_next = sequence_max(expected, packet.sequence + packet.payload_bytes);
  add_saturating(flow.bytes_up, packet.payload_bytes);
  channel::count_up(flow.packets_up);
  flow.deadline_ms = clock_.now32_ms() + service.idle_timeout_ms;
  watch_.client_segment(burst_, i, flow, expected);
  store(flow.client_mac.bytes.data(),
        (load<uint64_t>(data + 6) & 0x0000ffffffffffff) | static_cast<uint64_t>(burst_.port[i]) << 60);
  counters_.packet_to_backend(flow, packet.ip_bytes);
  rewrite<Side::kDestination, kV6>(data, backend.endpoint, service.sums, backend.sums);
  write_addresses<kV6>(data, backend.next_hop, egress_.mac_word(out_port));
  egress_.send(out_port, mbuf);
  return true;
}

template <bool kV6>
[[gnu::always_inline]] inline bool Worker::fast_path_from_backend(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  rte_mbuf* mbuf = burst_.mbuf[i];
  auto* data = rte_pktmbuf_mtod(mbuf, uint8_t*);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  if (!is_between(flow, backend.endpoint, packet.destination, packet.source)) return false;
  if (!is_vouched_for(setup_.port[burst_.port[i]].faces, *mbuf, packet, backend)) return false;
  if (!packet.plain || !takes_fast_path(flow) || !backend.is_serving(flow.backend_generation)) return false;
  if (data[kHopsAt<kV6>] <= 1 || packet.ip_bytes > egress_.mtu(out_port) || (flow.vlan_and_port & 0x0fff) != 0)
    return false;

  const bool is_next = is_expected(packet, flow.server_next, flow.client_next);
  if (!is_next && !believes_backend(flow, packet.sequence, packet.ack)) return false;

  const uint32_t expected = flow.server_next;
  flow.server_next = sequence_max(expected, packet.sequence + packet.payload_bytes);
  if (!is_next) {
    note_if_sent_again(i, false, expected);
    flow.client_next = sequence_max(flow.client_next, packet.ack);
  }
  add_saturating(flow.bytes_down, packet.payload_bytes);
  channel::count_up(flow.packets_down);
  flow.deadline_ms = clock_.now32_ms() + service.idle_timeout_ms;
  watch_.backend_segment(burst_, i, flow, expected);
  counters_.packet_to_client(flow, packet.ip_bytes);
  rewrite<Side::kSource, kV6>(data, service.vip, backend.sums, service.sums);
  write_addresses<kV6>(data, flow.client_mac, egress_.mac_word(out_port));
  egress_.send(out_port, mbuf);
  return true;
}

template <bool kV6>
[[gnu::always_inline]] inline bool Worker::fast_path(uint32_t i) noexcept {
  return burst_.from_client[i] ? fast_path_from_client<kV6>(i) : fast_path_from_backend<kV6>(i);
}

void Worker::process() noexcept {
  if (inspector_.any()) [[unlikely]]
    return process_inspected();
  look_up_and_translate();
  burst_.clear();
  if (exceptions_.waiting() != 0) [[unlikely]]
    exceptions_.process();
}

/// Three stages as one, as each packet's flow comes from memory while the packets before it are translated.
void Worker::look_up_and_translate() noexcept {
  const uint32_t count = burst_.count;
  for (uint32_t i = burst_.looked_up; i < std::min(count, kLookAhead); i++) look_up_flow(i);
  for (uint32_t i = 0; i < std::min(count, kLookAhead / 2); i++) look_up_flow_again(i);
  timer_.end_stage(Counter::kStageLookUpFlows);
  for (uint32_t i = 0; i < count; i++) {
    if (i + kLookAhead < count) look_up_flow(i + kLookAhead);
    if (i + kLookAhead / 2 < count) look_up_flow_again(i + kLookAhead / 2);
    if (burst_.flow[i] != kNoFlow) {
      if (burst_.packet[i].v6 ? fast_path<true>(i) : fast_path<false>(i)) continue;
    }
    slow_path(i);
  }
  timer_.end_stage(Counter::kStageTranslate);
}

[[gnu::noinline]] void Worker::slow_path(uint32_t i) noexcept {
  const uint64_t begin = timer_.sampled() ? rte_rdtsc() : 0;
  slow_path_.confirm_flow(burst_, i);
  slow_path_.place_if_new(burst_, i);
  if (timer_.sampled()) timer_.set_apart(Counter::kStagePlaceNewFlows, begin);
  slow_path_.translate(burst_, i);
}

}  // namespace sluice
