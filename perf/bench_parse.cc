// SPDX-License-Identifier: Apache-2.0
//
// Taking frames apart: ours, which believes nothing that it has not checked, beside DPDK's header structs laid
// over the bytes as its examples do, which check the Ethernet type and the protocol and no length at all.
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "dataplane/packet/parse_fast.h"
#include "perf/lib/bench.h"
#include "perf/lib/frames.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {
namespace {

void struct_cast(const rte_mbuf& mbuf, Packet& packet) {
  const auto* ethernet = rte_pktmbuf_mtod(&mbuf, const rte_ether_hdr*);
  const rte_tcp_hdr* tcp = nullptr;
  packet.vlan = 0;
  if (ethernet->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
    const auto* ip = reinterpret_cast<const rte_ipv4_hdr*>(ethernet + 1);
    if (ip->next_proto_id != IPPROTO_TCP) return;
    packet.source.address = Address::v4(Be32{ip->src_addr});
    packet.destination.address = Address::v4(Be32{ip->dst_addr});
    packet.ip_bytes = rte_be_to_cpu_16(ip->total_length);
    packet.l4_offset = static_cast<uint16_t>(sizeof *ethernet + rte_ipv4_hdr_len(ip));
    packet.v6 = false;
    tcp = rte_pktmbuf_mtod_offset(&mbuf, const rte_tcp_hdr*, packet.l4_offset);
  } else {
    const auto* ip = reinterpret_cast<const rte_ipv6_hdr*>(ethernet + 1);
    if (ip->proto != IPPROTO_TCP) return;
    std::memcpy(packet.source.address.bytes.data(), ip->src_addr, 16);
    std::memcpy(packet.destination.address.bytes.data(), ip->dst_addr, 16);
    packet.ip_bytes = static_cast<uint16_t>(rte_be_to_cpu_16(ip->payload_len) + sizeof *ip);
    packet.l4_offset = sizeof *ethernet + sizeof *ip;
    packet.v6 = true;
    tcp = reinterpret_cast<const rte_tcp_hdr*>(ip + 1);
  }
  packet.l3_offset = sizeof *ethernet;
  packet.source.port.raw = tcp->src_port;
  packet.destination.port.raw = tcp->dst_port;
  packet.sequence = rte_be_to_cpu_32(tcp->sent_seq);
  packet.ack = rte_be_to_cpu_32(tcp->recv_ack);
  packet.tcp_flags = tcp->tcp_flags;
  packet.tcp_header_bytes = static_cast<uint8_t>((tcp->data_off >> 4) * 4);
  packet.payload_bytes =
      static_cast<uint16_t>(packet.ip_bytes + packet.l3_offset - packet.l4_offset - packet.tcp_header_bytes);
}

/// Both must say the same of the same frame, or the comparison is void.
bool agree(const Packet& a, const Packet& b) {
  return a.source == b.source && a.destination == b.destination && a.sequence == b.sequence && a.ack == b.ack &&
         a.ip_bytes == b.ip_bytes && a.payload_bytes == b.payload_bytes && a.l4_offset == b.l4_offset;
}

template <bool kV6>
void sluice_parse(benchmark::State& state) {
  const Frames all(kMinimalFrame, kV6);
  uint64_t mac_word = 0;
  std::memcpy(&mac_word, kFramesMac.bytes.data(), 6);
  const FastFrames usual(mac_word);
  std::array<Packet, Frames::kCount> packet{};
  Packet cast{};
  struct_cast(*all.mbuf[0], cast);
  uint32_t refused = 0;
  for (auto _ : state) {
    for (uint32_t i = 0; i < Frames::kCount; i++) {
      refused += !parse_fast(*all.mbuf[i], usual, packet[i]) && !parse_fast_v6(*all.mbuf[i], usual, packet[i]) &&
                 parse_any(*all.mbuf[i], kFramesMac, packet[i]) != ParseVerdict::kTcp;
    }
    benchmark::ClobberMemory();
  }
  if (refused != 0 || !agree(packet[0], cast)) state.SkipWithError("the two parsers do not agree");
  report_per_item(state, Frames::kCount);
}

template <bool kV6>
void baseline_parse(benchmark::State& state) {
  const Frames all(kMinimalFrame, kV6);
  std::array<Packet, Frames::kCount> packet{};
  for (auto _ : state) {
    for (uint32_t i = 0; i < Frames::kCount; i++) struct_cast(*all.mbuf[i], packet[i]);
    benchmark::ClobberMemory();
  }
  report_per_item(state, Frames::kCount);
}

BENCHMARK(sluice_parse<false>)->Name("parse/sluice/ipv4");
BENCHMARK(baseline_parse<false>)->Name("parse/struct_cast/ipv4");
BENCHMARK(sluice_parse<true>)->Name("parse/sluice/ipv6");
BENCHMARK(baseline_parse<true>)->Name("parse/struct_cast/ipv6");

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  return sluice::perf::bench_main(argc, argv, 0);
}
