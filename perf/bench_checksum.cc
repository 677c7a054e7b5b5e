// SPDX-License-Identifier: Apache-2.0
//
// Checksums computed in full, as for packets that the balancer makes, beside DPDK's helpers. The argument is the length
// of the TCP segment. (What the worker does to packets that pass through is in bench_translate.)
#include <rte_ip.h>

#include <cstdint>
#include <vector>

#include "dataplane/packet/checksum.h"
#include "perf/lib/bench.h"
#include "perf/lib/synthetic.h"

namespace sluice::perf {
namespace {

struct Segment {
  rte_ipv4_hdr ip{};
  std::vector<uint8_t> bytes;
  Address source, destination;

  explicit Segment(uint32_t length) : bytes(length) {
    Random random(kBenchSeed);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
    ip.version_ihl = 0x45;
    ip.total_length = rte_cpu_to_be_16(static_cast<uint16_t>(sizeof ip + length));
    ip.time_to_live = 64;
    ip.next_proto_id = 6;
    ip.src_addr = rte_cpu_to_be_32(0x0b000001);
    ip.dst_addr = rte_cpu_to_be_32(0xc0000219);
    source = Address::v4(Be32{ip.src_addr});
    destination = Address::v4(Be32{ip.dst_addr});
  }
};

void sluice_checksum(benchmark::State& state) {
  const Segment segment(static_cast<uint32_t>(state.range(0)));
  if (tcp_checksum(segment.source, segment.destination, segment.bytes.data(), segment.bytes.size()) !=
      rte_ipv4_udptcp_cksum(&segment.ip, segment.bytes.data())) {
    state.SkipWithError("the two do not agree");
  }
  for (auto _ : state) {
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(
        tcp_checksum(segment.source, segment.destination, segment.bytes.data(), segment.bytes.size()));
  }
  report_per_item(state, 1);
}

void dpdk_checksum(benchmark::State& state) {
  const Segment segment(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(rte_ipv4_udptcp_cksum(&segment.ip, segment.bytes.data()));
  }
  report_per_item(state, 1);
}

BENCHMARK(sluice_checksum)->Name("checksum/sluice")->Arg(20)->Arg(64)->Arg(536)->Arg(1460);
BENCHMARK(dpdk_checksum)->Name("checksum/rte_ip")->Arg(20)->Arg(64)->Arg(536)->Arg(1460);

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) {
  return sluice::perf::bench_main(argc, argv, 0);
}
