// SPDX-License-Identifier: Apache-2.0
//
// NAT of a packet to its backend: incremental checksums from precomputed sums, as the worker does it, beside
// computing both checksums anew with DPDK's helpers. The argument is the frame's length.
#include <rte_ip.h>
#include <rte_tcp.h>

#include "dataplane/flow/translate.h"
#include "perf/lib/bench.h"
#include "perf/lib/frames.h"

namespace sluice::perf {
namespace {

template <bool kV6>
void incremental(rte_mbuf& mbuf, const Packet& packet, const Service& service, const Backend& backend) {
  to_backend(mbuf, packet, service, backend);
}

template <bool kV6>
void anew(rte_mbuf& mbuf, const Packet& packet, const Service&, const Backend& backend) {
  auto* tcp = rte_pktmbuf_mtod_offset(&mbuf, rte_tcp_hdr*, packet.l4_offset);
  tcp->dst_port = backend.endpoint.port.raw;
  tcp->cksum = 0;
  if constexpr (kV6) {
    auto* ip = rte_pktmbuf_mtod_offset(&mbuf, rte_ipv6_hdr*, packet.l3_offset);
    __builtin_memcpy(ip->dst_addr, backend.endpoint.address.bytes.data(), 16);
    ip->hop_limits--;
    tcp->cksum = rte_ipv6_udptcp_cksum(ip, tcp);
  } else {
    auto* ip = rte_pktmbuf_mtod_offset(&mbuf, rte_ipv4_hdr*, packet.l3_offset);
    ip->dst_addr = backend.endpoint.address.v4_part().raw;
    ip->time_to_live--;
    ip->hdr_checksum = 0;
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    ip->hdr_checksum = rte_ipv4_cksum(ip);
  }
}

/// Whether addresses and both checksums are as they should be, by DPDK's word.
template <bool kV6>
bool is_right(rte_mbuf& mbuf, const Packet& packet, const Backend& backend) {
  auto* tcp = rte_pktmbuf_mtod_offset(&mbuf, rte_tcp_hdr*, packet.l4_offset);
  const uint16_t checksum = tcp->cksum;
  tcp->cksum = 0;
  if constexpr (kV6) {
    const auto* ip = rte_pktmbuf_mtod_offset(&mbuf, const rte_ipv6_hdr*, packet.l3_offset);
    return __builtin_memcmp(ip->dst_addr, backend.endpoint.address.bytes.data(), 16) == 0 &&
           rte_ipv6_udptcp_cksum(ip, tcp) == checksum;
  } else {
    const auto* ip = rte_pktmbuf_mtod_offset(&mbuf, const rte_ipv4_hdr*, packet.l3_offset);
    return ip->dst_addr == backend.endpoint.address.v4_part().raw && rte_raw_cksum(ip, sizeof *ip) == 0xffff &&
           rte_ipv4_udptcp_cksum(ip, tcp) == checksum;
  }
}

template <bool kV6, void (*kTranslate)(rte_mbuf&, const Packet&, const Service&, const Backend&)>
void translate(benchmark::State& state) {
  Frames all(static_cast<uint32_t>(state.range(0)), kV6);
  kTranslate(*all.mbuf[0], all.packet[0], all.service, all.backend);
  if (!is_right<kV6>(*all.mbuf[0], all.packet[0], all.backend)) state.SkipWithError("a translated packet is wrong");
  // From here on packets are translated that were translated before, which costs the same and gives nonsense.
  for (auto _ : state) {
    for (uint32_t i = 0; i < Frames::kCount; i++) kTranslate(*all.mbuf[i], all.packet[i], all.service, all.backend);
    benchmark::ClobberMemory();
  }
  report_per_item(state, Frames::kCount);
}

BENCHMARK(translate<false, incremental<false>>)->Name("translate_ipv4/sluice")->Arg(60)->Arg(590)->Arg(1514);
BENCHMARK(translate<false, anew<false>>)->Name("translate_ipv4/anew")->Arg(60)->Arg(590)->Arg(1514);
BENCHMARK(translate<true, incremental<true>>)->Name("translate_ipv6/sluice")->Arg(78)->Arg(590)->Arg(1514);
BENCHMARK(translate<true, anew<true>>)->Name("translate_ipv6/anew")->Arg(78)->Arg(590)->Arg(1514);

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  return sluice::perf::bench_main(argc, argv, 0);
}
