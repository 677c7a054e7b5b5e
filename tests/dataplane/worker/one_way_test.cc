// SPDX-License-Identifier: Apache-2.0
//
// dsr, ipip and gue through the worker: packets reach the backend as the client sent them, and only the client's half
// of a connection is seen.
#include <gtest/gtest.h>

#include <set>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/one_way_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Forwarding;

TEST(OneWay, PacketsReachTheBackendAsTheClientSentThem) {
  struct Case {
    const char* description;
    Bytes options;
    std::string payload;
    uint8_t traffic_class;
  };
  const Case cases[]{{"bare", {}, "", 0},
                     {"options and an odd payload", {8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, "EHLO x\r\n!", 0},
                     {"DSCP AF21, congestion experienced", {}, "MAIL FROM:<>\r\n", 0x4b}};
  for (const Mode& mode : kModes) {
    for (const uint16_t vlan : {0, 300}) {
      OneWayBench bench(mode, {}, vlan);
      ASSERT_TRUE(bench.open());
      for (const Case& c : cases) {
        SCOPED_TRACE(std::string(mode.name) + ", " + c.description);
        const Bytes sent = bench.client_frame()
                               .to_mac(WorkerBench::front_mac())
                               .seq(1001)
                               .ack(5001)
                               .psh()
                               .tcp_options(c.options)
                               .payload(c.payload)
                               .ttl(60)
                               .bytes();
        const auto inner = bench.pass(with_traffic_class(sent, c.traffic_class));
        ASSERT_TRUE(inner.has_value());
        // All of it, one hop later.
        const Bytes expected =
            bench.client_frame().seq(1001).ack(5001).psh().tcp_options(c.options).payload(c.payload).ttl(59).bytes();
        const size_t l2 = mode.forwarding == Forwarding::kDsr && vlan != 0 ? 18 : 14;
        EXPECT_EQ(Bytes(inner->begin() + static_cast<long>(l2), inner->end()),
                  ip_packet(with_traffic_class(expected, c.traffic_class)));
        if (mode.overhead == 0) continue;
        EXPECT_EQ(bench.outer->vlan, vlan);
        EXPECT_EQ(bench.outer->ttl, 64);
        EXPECT_EQ(bench.outer->traffic_class, c.traffic_class);
      }
      bench.expect_counter_law();
      EXPECT_EQ(bench.drops(), 0u);
    }
  }
}

TEST(OneWay, GueSpreadsFlowsOverSourcePortsAndKeepsEachOnOne) {
  OneWayBench bench(kModes[7]);
  std::set<uint16_t> seen;
  for (uint16_t port = 2000; port < 2064; port++) {
    Endpoint client = kClient4;
    client.port = Be16::of(port);
    ASSERT_TRUE(bench.pass(Frame().from(client).to(kVip4).syn().seq(1)).has_value());
    const uint16_t first = bench.outer->source_port;
    seen.insert(first);
    ASSERT_TRUE(bench.pass(Frame().from(client).to(kVip4).seq(2).ack(2)).has_value());
    EXPECT_EQ(bench.outer->source_port, first);
  }
  EXPECT_GT(seen.size(), 55u);
}

TEST(OneWay, AConnectionIsTrackedFromTheClientsHalf) {
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    const auto& service = bench.stats().services[0];
    ASSERT_TRUE(bench.pass(bench.client_frame().syn().seq(1000)).has_value());
    EXPECT_EQ(bench.counter(Counter::kFlowsEmbryonicNow), 1u);
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5001)).has_value());
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5051)).has_value());  // the greeting
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5051).payload("EHLO x\r\n")).has_value());
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 0u);
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(1009).ack(5101)).has_value());
    EXPECT_EQ(bench.worker().flows()[0].bytes_up, 8u);
    EXPECT_EQ(bench.worker().flows()[0].bytes_down, 0u);
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 1u);
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
    EXPECT_EQ(service.flows_now, 1u);
    for (int i = 0; i < 30; i++) bench.turn(10'000);  // longer than a handshake may take
    EXPECT_EQ(bench.worker().flows().size(), 1u);
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(1009).ack(5101).fin()).has_value());
    EXPECT_EQ(service.flows_now, 0u);
    EXPECT_EQ(bench.counter(Counter::kFlowsClosed), 1u);
    EXPECT_TRUE(bench.pass(bench.client_frame().seq(1010).ack(5102)).has_value()) << "the last ACK still has its way";
    for (int i = 0; i < 30; i++) bench.turn(10'000);
    EXPECT_EQ(bench.worker().flows().size(), 0u);
    bench.expect_counter_law();
  }
}

TEST(OneWay, AHandshakeThatTheClientDoesNotFinishExpires) {
  OneWayBench bench(kModes[3]);
  ASSERT_TRUE(bench.pass(bench.client_frame().syn().seq(1000)).has_value());
  for (int i = 0; i < 7; i++) bench.turn(10'000);
  EXPECT_EQ(bench.worker().flows().size(), 0u);
  EXPECT_EQ(bench.counter(Counter::kFlowsExpired), 1u);
}

TEST(OneWay, OnlyABelievableResetEndsAFlow) {
  OneWayBench bench(kModes[3]);
  ASSERT_TRUE(bench.open());
  bench.pass(bench.client_frame().seq(0x70000000).rst());
  EXPECT_EQ(bench.counter(Counter::kFlowsReset), 0u);
  bench.pass(bench.client_frame().seq(1001).rst());
  EXPECT_EQ(bench.counter(Counter::kFlowsReset), 1u);
  // The port may be used again at once.
  EXPECT_TRUE(bench.open(9000, 8000));
  EXPECT_EQ(bench.counter(Counter::kFlowsCreated), 2u);
}

TEST(OneWay, AFlowMetInMidStreamIsAdoptedAndEstablishedWhenTheDialogueGoesOn) {
  OneWayBench bench(kModes[3]);
  ASSERT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5001).payload("x")).has_value());
  EXPECT_EQ(bench.counter(Counter::kFlowsAdopted), 1u);
  ASSERT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5001).payload("x")).has_value());
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 0u) << "the same again is no dialogue";
  ASSERT_TRUE(bench.pass(bench.client_frame().seq(1002).ack(5011)).has_value());
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 0u) << "two segments are not either";
  ASSERT_TRUE(bench.pass(bench.client_frame().seq(1002).ack(5021)).has_value());
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 1u);
}

TEST(OneWay, TwoServicesMayLeadOneClientEndpointToOneBackend) {
  OneWayBench bench(kModes[0]);
  const Endpoint other = endpoint("192.0.2.26", 25);
  channel::PutService service{};
  service.forwarding = Forwarding::kDsr;
  bench.WorkerBench::put_service(1, other, {0}, service);
  ASSERT_TRUE(bench.open());
  const auto syn = bench.pass(Frame().from(kClient4).to(other).syn().seq(7));
  ASSERT_TRUE(syn.has_value());
  EXPECT_EQ(syn->destination, other);
  EXPECT_EQ(bench.counter(Counter::kDropBackendCollision), 0u);
}

TEST(OneWay, FragmentsFollowTheirFlow) {
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    ASSERT_TRUE(bench.open());
    const Bytes whole =
        bench.client_frame().to_mac(WorkerBench::front_mac()).seq(1001).ack(5001).payload(Bytes(600, 'x')).bytes();
    for (const Bytes& fragment : cut(whole, 256, 77)) {
      const auto inner = bench.pass(fragment);
      ASSERT_TRUE(inner.has_value());
      EXPECT_EQ(ip_packet(*inner).size(), ip_packet(fragment).size());
    }
    EXPECT_EQ(bench.drops(), 0u);
    bench.expect_counter_law();
  }
}

TEST(OneWay, ALostBackendsFlowsAreResetOnBothSides) {
  for (const Mode& mode : kModes) {
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    ASSERT_TRUE(bench.open());
    bench.put_backend(0, mode.backend(), channel::kBackendReachable | channel::kBackendDown);
    bench.turns(3);
    const auto to_client = bench.to_clients();
    ASSERT_EQ(to_client.size(), 1u);
    EXPECT_EQ(to_client[0].flags & kTcpRst, kTcpRst);
    EXPECT_EQ(to_client[0].source, mode.vip());
    EXPECT_EQ(to_client[0].seq, 5001u) << "what the client acknowledged is what it expects next";
    const auto inner = bench.take_at_backend();
    ASSERT_TRUE(inner.has_value());
    const auto to_backend = read(*inner);
    ASSERT_TRUE(to_backend.has_value());
    EXPECT_EQ(to_backend->flags & kTcpRst, kTcpRst);
    EXPECT_EQ(to_backend->source, mode.client());
    EXPECT_EQ(to_backend->destination, mode.vip());
    EXPECT_EQ(to_backend->seq, 1001u);
    bench.expect_counter_law();
  }
}

TEST(OneWay, ATunnelWithoutAnAddressOfOursDropsAndCounts) {
  OneWayBench bench(kModes[3]);
  bench.command(channel::CommandType::kDropLocal, 0);
  bench.client_sends(bench.client_frame().syn().seq(1));
  bench.turn();
  EXPECT_TRUE(bench.back().take().empty());
  EXPECT_EQ(bench.counter(Counter::kDropNoLocalPort), 1u);
  bench.expect_counter_law();
}

TEST(OneWay, WhatABackendSendsByWayOfUsIsTheKernelsUnlessItIsFromAVip) {
  for (const Mode& mode : kModes) {
    if (mode.inner_v6 != mode.outer_v6) continue;
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    ASSERT_TRUE(bench.open());
    bench.put_sole_backend(0, mode.backend(), 0);
    bench.backend_sends(Frame().from(mode.vip()).to(mode.client()).seq(5001).ack(1001));
    bench.backend_sends(Frame().from(mode.backend()).to(mode.client()).seq(1).ack(1));
    bench.turn();
    EXPECT_EQ(bench.punted(WorkerBench::kBack, PuntClass::kRouted).size(), 1u)
        << "of a connection to the backend itself";
    EXPECT_EQ(bench.counter(Counter::kDropStrangers), 1u)
        << "the kernel would not pass on what comes from its own address";
    EXPECT_TRUE(bench.to_clients().empty());
  }
}

}  // namespace
}  // namespace sluice::testing
