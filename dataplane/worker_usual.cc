// SPDX-License-Identifier: Apache-2.0
//
// The quick way through translate for what nearly every packet is: a segment in mid-connection of an established NAT
// flow over untagged IPv4. Does what translate_from_client() and translate_from_backend() do, with all that such a
// packet does not need left out, and leaves every other packet to them.
#include <immintrin.h>
#include <rte_cycles.h>

#include <algorithm>

#include "dataplane/count_packet.h"
#include "dataplane/tcp_track.h"
#include "dataplane/translate.h"
#include "dataplane/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kL3 = kEthernetBytes, kL4 = kEthernetBytes + ipv4::kBytes;

/// A NAT flow that is established, and of which nothing special is to be done.
bool is_usual(const Flow& flow) {
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

/// As translate.h's rewrite_endpoint(), at offsets that are known.
template <Side kSide>
void rewrite(uint8_t* data, const Endpoint& to, const EndpointSums& before, const EndpointSums& after) {
  store(data + kL4 + (kSide == Side::kSource ? tcp::kSourcePort : tcp::kDestinationPort), to.port.raw);
  rewrite_ipv4_address<kSide>(data + kL3, data + kL4, to.address, before, after);
}

/// As its write_ethernet().
void write_addresses(uint8_t* data, const MacAddress& destination, uint64_t source_word) {
  __builtin_memcpy(data, destination.bytes.data(), 6);
  store(data + 6, source_word | uint64_t{Be16::of(kEtherTypeIpv4).raw} << 48);
}

}  // namespace

[[gnu::always_inline]] inline bool Worker::pass_usual_from_client(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  rte_mbuf* mbuf = burst_.mbuf[i];
  auto* data = rte_pktmbuf_mtod(mbuf, uint8_t*);
  const uint32_t out_port = backend.port_index;
  if (!is_between(flow, service.vip, packet.source, packet.destination)) return false;
  if (!packet.usual || !is_usual(flow) || !backend.is_serving(flow.backend_generation)) return false;
  if (data[kL3 + ipv4::kTtl] <= 1 || packet.ip_bytes > setup_.port[out_port].mtu || backend.vlan != 0) return false;

  const uint32_t expected = flow.client_next;
  const uint32_t end = packet.sequence + packet.payload_bytes;
  flow.client_next = end - expected < kBelievable ? end : expected;
  add_saturating(flow.bytes_up, packet.payload_bytes);
  flow.deadline_ms = established_deadline_ms_;
  if (SmtpObserver::client_matters(flow, packet)) watch_client(i, expected);
  store(flow.client_mac.bytes.data(),
        (load<uint64_t>(data + 6) & 0x0000ffffffffffff) | static_cast<uint64_t>(burst_.port[i]) << 60);
  count_towards_backend(*setup_.stats, flow, packet.ip_bytes);
  rewrite<Side::kDestination>(data, backend.endpoint, service.sums, backend.sums);
  write_addresses(data, backend.next_hop, mac_word_[out_port]);
  send(out_port, mbuf);
  return true;
}

[[gnu::always_inline]] inline bool Worker::pass_usual_from_backend(uint32_t i) noexcept {
  const Packet& packet = burst_.packet[i];
  Flow& flow = flows_[burst_.flow[i]];
  const Service& service = state_.service(flow.service);
  const Backend& backend = state_.backend(flow.backend);
  rte_mbuf* mbuf = burst_.mbuf[i];
  auto* data = rte_pktmbuf_mtod(mbuf, uint8_t*);
  const uint32_t out_port = flow.vlan_and_port >> 12;
  if (!is_between(flow, backend.endpoint, packet.destination, packet.source)) return false;
  if (!packet.usual || !is_usual(flow) || !backend.is_serving(flow.backend_generation)) return false;
  if (data[kL3 + ipv4::kTtl] <= 1 || packet.ip_bytes > setup_.port[out_port].mtu || (flow.vlan_and_port & 0x0fff) != 0)
    return false;

  const uint32_t expected = flow.server_next;
  const uint32_t end = packet.sequence + packet.payload_bytes;
  flow.server_next = end - expected < kBelievable ? end : expected;
  add_saturating(flow.bytes_down, packet.payload_bytes);
  flow.deadline_ms = established_deadline_ms_;
  if (SmtpObserver::backend_matters(flow, packet)) watch_backend(i, expected);
  count_towards_client(*setup_.stats, flow, packet.ip_bytes);
  rewrite<Side::kSource>(data, service.vip, backend.sums, service.sums);
  write_addresses(data, flow.client_mac, mac_word_[out_port]);
  send(out_port, mbuf);
  return true;
}

void Worker::look_up_and_translate() noexcept {
  const uint32_t count = burst_.count;
  for (uint32_t i = burst_.looked_up; i < std::min(count, kLookAhead); i++) look_up_flow(i);
  for (uint32_t i = 0; i < std::min(count, kLookAhead / 2); i++) look_up_flow_again(i);
  end_stage(Counter::kStageLookUpFlows);
  for (uint32_t i = 0; i < count; i++) {
    if (i + kLookAhead < count) look_up_flow(i + kLookAhead);
    if (i + kLookAhead / 2 < count) look_up_flow_again(i + kLookAhead / 2);
    if (burst_.flow[i] != kNoFlow) {
      if (burst_.from_client[i] ? pass_usual_from_client(i) : pass_usual_from_backend(i)) continue;
    }
    translate_unusual(i);
  }
  end_stage(Counter::kStageTranslate);
}

[[gnu::noinline]] void Worker::translate_unusual(uint32_t i) noexcept {
  const uint64_t begin = sampled_ ? rte_rdtsc() : 0;
  confirm_flow(i);
  place_if_new(i);
  if (sampled_) {
    const uint64_t cycles = rte_rdtsc() - begin;
    stage_cycles_[stage_index(Counter::kStagePlaceNewFlows)] += cycles;
    stage_begin_ += cycles;
  }
  translate_one(i);
}

}  // namespace sluice
