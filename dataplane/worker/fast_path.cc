// SPDX-License-Identifier: Apache-2.0
//
// The fast path: all the way for what nearly every packet is, a segment in mid-connection of an established flow, over
// IPv4 or IPv6, with a VLAN tag or none. Does what the slow path does, with all that such a packet does not need left
// out, and leaves every other packet to it. Plain NAT, of which nothing else is to be done, is first; other ways come
// after it, out of line.
#include <immintrin.h>
#include <rte_cycles.h>

#include <algorithm>

#include "dataplane/flow/tcp_track.h"
#include "dataplane/flow/translate.h"
#include "dataplane/worker/fast_path.h"
#include "dataplane/worker/modes.h"
#include "dataplane/worker/next_hop_check.h"
#include "dataplane/worker/return_path.h"
#include "dataplane/worker/worker.h"

namespace sluice {
namespace {

/// The four bytes of a flow that say whether it takes the fast path, and how.
uint32_t word_of(const Flow& flow) {
  static_assert(offsetof(Flow, mode) == 58 && offsetof(Flow, state) == 59 && offsetof(Flow, flags) == 60);
  uint32_t word;
  __builtin_memcpy(&word, &flow.mode, sizeof word);
  return word;
}
constexpr uint32_t kModeBits = 0xe0, kStateBits = 0xff00;
constexpr uint32_t flag_bits(uint8_t flags) {
  return uint32_t{flags} << 16;
}
constexpr uint32_t kOpen = uint32_t{static_cast<uint8_t>(TcpState::kEstablished)} << 8;

/// A NAT flow that is established, and of which nothing special is to be done.
bool is_plain_nat(const Flow& flow) {
  static_assert(static_cast<uint32_t>(channel::Forwarding::kNat) == 0);
  return (word_of(flow) & (kModeBits | kStateBits | flag_bits(kFlowCut | kFlowSpecial))) == kOpen;
}

/// Any that is established, and whose client's numbers are known to its backend.
bool is_settled(const Flow& flow) {
  return (word_of(flow) & (kStateBits | flag_bits(kFlowCut | kFlowProxyPending))) == kOpen;
}

__m128i difference(const Address& a, const Address& b) {
  return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a.bytes.data())),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(b.bytes.data())));
}

/// Whether a packet's ends are these: both at once.
bool is_between(const Address& address, Be16 port, const Endpoint& other, const Endpoint& one_end,
                const Endpoint& other_end) {
  const __m128i addresses =
      _mm_or_si128(difference(address, one_end.address), difference(other.address, other_end.address));
  const int ports = (port.raw ^ one_end.port.raw) | (other.port.raw ^ other_end.port.raw);
  return _mm_testz_si128(addresses, addresses) != 0 && ports == 0;
}

/// Both numbers the very ones: what nearly every segment of a dialogue has, and is believed without further ado.
bool is_expected(uint32_t sequence, uint32_t ack, uint32_t next, uint32_t other_next) {
  return ((sequence ^ next) | (ack ^ other_next)) == 0;
}

/// Where a packet's IP header begins.
template <FastWay kWay>
uint32_t l3_offset(const Packet& packet) {
  return kWay == FastWay::kNat ? kEthernetBytes : packet.l3_offset;
}

template <bool kV6>
constexpr uint32_t kIpBytes = kV6 ? ipv6::kBytes : ipv4::kBytes;

/// As translate.h's rewrite_endpoint(), of a packet whose family is known.
template <Side kSide, bool kV6>
void rewrite(uint8_t* l3, const Endpoint& to, const EndpointSums& before, const EndpointSums& after) {
  uint8_t* l4 = l3 + kIpBytes<kV6>;
  store(l4 + (kSide == Side::kSource ? tcp::kSourcePort : tcp::kDestinationPort), to.port.raw);
  if constexpr (kV6) {
    rewrite_ipv6_address<kSide>(l3, l4, to.address, before, after);
  } else {
    rewrite_ipv4_address<kSide>(l3, l4, to.address, before, after);
  }
}

/// As write_ethernet(), of a frame without tags.
template <bool kV6>
void write_addresses(uint8_t* l3, const MacAddress& destination, uint64_t source_word) {
  uint8_t* data = l3 - kEthernetBytes;
  __builtin_memcpy(data, destination.bytes.data(), 6);
  store(data + 6, source_word | uint64_t{Be16::of(kV6 ? kEtherTypeIpv6 : kEtherTypeIpv4).raw} << 48);
}

/// Whether an IP header's packet may be sent on, of `bytes` through `mtu`.
template <bool kV6>
bool may_pass(const uint8_t* l3, uint32_t bytes, uint16_t mtu) {
  return l3[kV6 ? ipv6::kHopLimit : ipv4::kTtl] > 1 && bytes <= mtu;
}

}  // namespace

template <FastWay kWay, bool kV6>
[[gnu::always_inline]] inline bool Worker::fast_path_from_client(uint32_t i) noexcept {
  Packet& packet = burst_.packet[i];
  Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  rte_mbuf* mbuf = burst_.mbuf[i];
  uint8_t* l3 = rte_pktmbuf_mtod_offset(mbuf, uint8_t*, l3_offset<kWay>(packet));
  const uint32_t out_port = backend.port_index;
  if (!is_between(flow.client, flow.client_port, service.vip, packet.source, packet.destination)) return false;
  if (!backend.is_serving(flow.backend_generation)) return false;
  if (kWay == FastWay::kNat && backend.vlan != 0) [[unlikely]]
    return other_fast_path<kV6>(i);
  if (kWay != FastWay::kNat && !service.in_use) return false;
  const uint32_t added = kWay == FastWay::kOneWay ? overhead_to_backend(state_, flow) : 0;
  if (!may_pass<kV6>(l3, packet.ip_bytes + added, egress_.mtu(out_port))) return false;
  if (kWay == FastWay::kFullnat && !state_.local(flow.local_index()).in_use) return false;

  const bool is_next = is_expected(packet.sequence, packet.ack, flow.client_next, flow.server_next);
  if constexpr (kWay == FastWay::kOneWay) {
    if (!is_next && !believes_lone_client(flow, packet.sequence, packet.ack)) return false;
    flow.server_next = sequence_max(flow.server_next, packet.ack);
  } else {
    const bool may_be_half_seen = kWay == FastWay::kAnyNat;
    const ServerSeen seen = may_be_half_seen ? server_seen(flow, setup_.told != nullptr) : ServerSeen::kWhole;
    if (!is_next && !believes_client(flow, packet.sequence, packet.ack, seen)) return false;
    if (seen == ServerSeen::kInPart) flow.server_next = sequence_max(flow.server_next, packet.ack);
  }
  const uint32_t expected = flow.client_next;
  if (!is_next) note_if_sent_again(i, true, expected);
  flow.client_next = sequence_max(expected, packet.sequence + packet.payload_bytes);
  add_saturating(flow.bytes_up, packet.payload_bytes);
  channel::count_up(flow.packets_up);
  flow.deadline_ms = clock_.now32_ms() + service.idle_timeout_ms;
  if constexpr (kWay != FastWay::kOneWay) watch_.client_segment(burst_, i, flow, expected);
  learn_return_path(burst_, i, flow);
  counters_.packet_to_backend(flow, packet.ip_bytes);

  if constexpr (kWay == FastWay::kOneWay) {
    one_way_.send(mbuf, packet, flow);
    return true;
  } else if constexpr (kWay == FastWay::kFullnat) {
    rewrite_both<kV6>(l3, l3 + kIpBytes<kV6>, client_at_backend(state_, flow), backend.endpoint);
  } else {
    rewrite<Side::kDestination, kV6>(l3, backend.endpoint, service.sums, backend.sums);
  }
  if constexpr (kWay == FastWay::kNat) {
    write_addresses<kV6>(l3, backend.next_hop, egress_.mac_word(out_port));
  } else {
    renumber(l3 + kIpBytes<kV6>, packet.tcp_header_bytes, flows_.numbers_for_backend(burst_.flow[i]));
    write_ethernet(*mbuf, packet, backend.next_hop, egress_.mac_word(out_port), backend.vlan);
  }
  egress_.send(out_port, mbuf);
  return true;
}

template <FastWay kWay, bool kV6>
[[gnu::always_inline]] inline bool Worker::fast_path_from_backend(uint32_t i) noexcept {
  Packet& packet = burst_.packet[i];
  Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  rte_mbuf* mbuf = burst_.mbuf[i];
  uint8_t* l3 = rte_pktmbuf_mtod_offset(mbuf, uint8_t*, l3_offset<kWay>(packet));
  const uint32_t out_port = flow.vlan_and_port >> 12;
  const bool ours = kWay == FastWay::kFullnat;
  const Address& client = ours ? state_.local(flow.local_index()).address : flow.client;
  const Be16 client_port = ours ? flow.local_port : flow.client_port;
  if (!is_between(client, client_port, backend.endpoint, packet.destination, packet.source)) return false;
  if (!is_vouched_for(setup_.port[burst_.port[i]].faces, *mbuf, packet, backend)) return false;
  if (!backend.is_serving(flow.backend_generation)) return false;
  const uint16_t out_vlan = flow.vlan_and_port & 0x0fff;
  if (kWay == FastWay::kNat && out_vlan != 0) [[unlikely]]
    return other_fast_path<kV6>(i);
  if (!may_pass<kV6>(l3, packet.ip_bytes, egress_.mtu(out_port))) return false;

  // As the client counts.
  const uint32_t sequence = packet.sequence + (kWay == FastWay::kNat ? 0 : flows_.server_shift(flow));
  const uint32_t acknowledged = packet.ack - (kWay == FastWay::kNat ? 0 : flow.proxy_bytes);
  const bool is_next = is_expected(sequence, acknowledged, flow.server_next, flow.client_next);
  if (!is_next && !believes_backend(flow, sequence, packet.ack)) return false;

  packet.sequence = sequence;
  const uint32_t expected = flow.server_next;
  flow.server_next = sequence_max(expected, sequence + packet.payload_bytes);
  if (!is_next) {
    note_if_sent_again(i, false, expected);
    flow.client_next = sequence_max(flow.client_next, acknowledged);
  }
  add_saturating(flow.bytes_down, packet.payload_bytes);
  channel::count_up(flow.packets_down);
  flow.deadline_ms = clock_.now32_ms() + service.idle_timeout_ms;
  watch_.backend_segment(burst_, i, flow, expected);
  counters_.packet_to_client(flow, packet.ip_bytes);

  if constexpr (kWay == FastWay::kFullnat) {
    rewrite_both<kV6>(l3, l3 + kIpBytes<kV6>, service.vip, flow.client_endpoint());
  } else {
    rewrite<Side::kSource, kV6>(l3, service.vip, backend.sums, service.sums);
  }
  if constexpr (kWay == FastWay::kNat) {
    write_addresses<kV6>(l3, flow.client_mac, egress_.mac_word(out_port));
  } else {
    renumber(l3 + kIpBytes<kV6>, packet.tcp_header_bytes, flows_.numbers_for_client(burst_.flow[i]));
    write_ethernet(*mbuf, packet, flow.client_mac, egress_.mac_word(out_port), out_vlan);
  }
  egress_.send(out_port, mbuf);
  return true;
}

template <bool kV6>
[[gnu::noinline]] bool Worker::other_fast_path(uint32_t i) noexcept {
  const Flow& flow = flows_[burst_.flow[i]];
  if (!is_settled(flow) || burst_.packet[i].plain == Plain::kNo) return false;
  const bool from_client = burst_.from_client[i];
  switch (flow.forwarding()) {
    case channel::Forwarding::kNat:
      return from_client ? fast_path_from_client<FastWay::kAnyNat, kV6>(i)
                         : fast_path_from_backend<FastWay::kAnyNat, kV6>(i);
    case channel::Forwarding::kFullnat:
      return from_client ? fast_path_from_client<FastWay::kFullnat, kV6>(i)
                         : fast_path_from_backend<FastWay::kFullnat, kV6>(i);
    case channel::Forwarding::kDsr:
    case channel::Forwarding::kIpip:
    case channel::Forwarding::kGue:
      return from_client && fast_path_from_client<FastWay::kOneWay, kV6>(i);
  }
  return false;
}

template <bool kV6>
[[gnu::always_inline]] inline bool Worker::fast_path(uint32_t i) noexcept {
  if (burst_.packet[i].plain != Plain::kUntagged || !is_plain_nat(flows_[burst_.flow[i]])) [[unlikely]]
    return other_fast_path<kV6>(i);
  return burst_.from_client[i] ? fast_path_from_client<FastWay::kNat, kV6>(i)
                               : fast_path_from_backend<FastWay::kNat, kV6>(i);
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
