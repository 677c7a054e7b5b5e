// SPDX-License-Identifier: Apache-2.0
//
// dsr, ipip and gue through the worker: how large a packet may be, and ICMP errors from either side.
#include <gtest/gtest.h>

#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/one_way_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

TEST(OneWay, PacketsTooBigForTheTunnelAreAnsweredWithWhatIsLeft) {
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    BenchOptions options;
    options.front_mtu = 9000;
    OneWayBench bench(mode, options);
    ASSERT_TRUE(bench.open());
    const uint32_t largest = 1500 - mode.overhead - mode.header_bytes() - 20;
    EXPECT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5001).payload(Bytes(largest, 'x'))).has_value());
    bench.client_sends(bench.client_frame().seq(1001).ack(5001).payload(Bytes(largest + 1, 'x')));
    bench.turn();
    EXPECT_TRUE(bench.back().take().empty());
    const auto frames = bench.front().take();
    ASSERT_EQ(frames.size(), 1u);
    const auto answer = read_icmp(frames[0]);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->type, mode.inner_v6 ? 2 : 3);
    EXPECT_EQ(answer->code, mode.inner_v6 ? 0 : 4);
    EXPECT_EQ(answer->rest & 0xffff, 1500 - mode.overhead);
    EXPECT_EQ(answer->source, mode.vip().address);
    EXPECT_EQ(answer->destination, mode.client().address);
    EXPECT_EQ(bench.counter(Counter::kDropTooBig), 1u);
    bench.expect_counter_law();
  }
}

TEST(OneWay, ASynAnnouncesNoMoreThanTheTunnelCarriesWhole) {
  const auto announced = [](OneWayBench& bench) {
    const auto syn = bench.pass(bench.client_frame().syn().seq(1000).tcp_options({2, 4, 0x22, 0x28}));  // 8744
    EXPECT_TRUE(syn.has_value());
    return syn ? uint32_t{syn->tcp_options.at(2)} << 8 | syn->tcp_options.at(3) : 0;
  };
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    EXPECT_EQ(announced(bench), mode.overhead == 0 ? 8744 : 1500 - mode.overhead - mode.header_bytes() - 20);
    OneWayBench clamped(mode);
    clamped.put_service(1000);
    EXPECT_EQ(announced(clamped), 1000u);
  }
}

TEST(OneWay, ARouterInsideTheTunnelIsHeardByTheClient) {
  for (const Mode& mode : kModes) {
    if (mode.overhead == 0) continue;
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    ASSERT_TRUE(bench.open());
    bench.client_sends(bench.client_frame().seq(1001).ack(5001).payload(Bytes(1300, 'x')));
    bench.turn();
    const auto sent = bench.back().take();
    ASSERT_EQ(sent.size(), 1u);
    struct Case {
      const char* description;
      size_t quoted;
      bool spoilt;
      bool heard;
    };
    const uint32_t needed = mode.overhead + mode.header_bytes() + 8;
    const Case cases[]{{"all that fits", 500, false, true},
                       {"just the ports and the sequence number", needed, false, true},
                       {"too little", needed - 1, false, false},
                       {"another tunnel's", 500, true, false}};
    for (const Case& c : cases) {
      SCOPED_TRACE(c.description);
      IcmpFrame error;
      error.type = mode.outer_v6 ? 2 : 3;
      error.code = mode.outer_v6 ? 0 : 4;
      error.rest = 1400;
      error.source = mode.outer_v6 ? address("fd00:9::1") : address("10.9.9.9");
      error.destination = mode.local();
      error.destination_mac = WorkerBench::back_mac();
      error.quoted = ip_packet(sent[0], c.quoted);
      if (c.spoilt) error.quoted.at(mode.outer_v6 ? 39 : 19) ^= 1;  // the tunnel's far end
      bench.back().arrive(error.bytes());
      bench.turn();
      const auto frames = bench.front().take();
      ASSERT_EQ(frames.size(), c.heard ? 1u : 0u);
      EXPECT_EQ(bench.punted().size(), c.heard ? 0u : 1u);
      if (!c.heard) continue;
      const auto answer = read_icmp(frames[0]);
      ASSERT_TRUE(answer.has_value());
      EXPECT_EQ(answer->rest & 0xffff, 1400 - mode.overhead);
      EXPECT_EQ(answer->source, mode.vip().address);
      EXPECT_EQ(answer->destination, mode.client().address);
      EXPECT_EQ(answer->destination_mac, mac(0xc1));
      EXPECT_EQ(answer->source_mac, WorkerBench::front_mac());
      EXPECT_EQ(answer->quoted.at(0) >> 4, mode.inner_v6 ? 6 : 4);
    }
    bench.expect_counter_law();
  }
}

TEST(OneWay, IcmpErrorsAboutWhatTheBackendSentReachIt) {
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    ASSERT_TRUE(bench.open());
    IcmpFrame error;
    error.type = mode.inner_v6 ? 2 : 3;
    error.code = mode.inner_v6 ? 0 : 4;
    error.rest = 1400;
    error.source = mode.inner_v6 ? address("2001:db8:ffff::1") : address("198.51.100.254");
    error.destination = mode.vip().address;
    error.destination_mac = WorkerBench::front_mac();
    for (const uint32_t sequence : {5001u, 5001u + 100'000u}) {  // acknowledged, and still in flight
      error.quoted =
          ip_packet(Frame().from(mode.vip()).to(mode.client()).seq(sequence).ack(1001).payload("220").bytes());
      const auto inner = bench.pass(error.bytes());
      ASSERT_TRUE(inner.has_value());
      const auto seen = read_icmp(*inner);
      ASSERT_TRUE(seen.has_value()) << "a checksum is wrong";
      EXPECT_EQ(seen->source, error.source);
      EXPECT_EQ(seen->destination, mode.vip().address);
      EXPECT_EQ(seen->ttl, 63);
      EXPECT_EQ(seen->quoted, error.quoted);
    }
    error.quoted = ip_packet(Frame().from(mode.vip()).to(mode.client()).seq(0x70000000).ack(1001).bytes());
    bench.front().arrive(error.bytes());
    bench.turn();
    EXPECT_EQ(bench.counter(Counter::kDropIcmp), 1u);
    bench.expect_counter_law();
  }
}

}  // namespace
}  // namespace sluice::testing
