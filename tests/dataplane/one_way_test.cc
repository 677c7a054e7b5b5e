// SPDX-License-Identifier: Apache-2.0
//
// dsr, ipip and gue through the worker: packets reach the backend as the client sent them, and only the client's half
// of a connection is seen.
#include <gtest/gtest.h>

#include <set>

#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/tunnel_frame.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Forwarding;

const Address kLocal4 = address("10.0.1.1"), kLocal6 = address("fd00:1::1");
const Endpoint kBackend4 = endpoint("10.0.1.10", 25), kBackend6 = endpoint("fd00:1::10", 25);
const Endpoint kVip4 = endpoint("192.0.2.25", 25), kVip6 = endpoint("2001:db8:25::25", 25);
const Endpoint kClient4 = endpoint("198.51.100.7", 40000), kClient6 = endpoint("2001:db8:1::7", 40000);

/// A mode, the family of what goes through it, and that of the backend's address.
struct Mode {
  const char* name;
  Forwarding forwarding;
  bool inner_v6, outer_v6;
  uint32_t overhead;

  Endpoint client() const { return inner_v6 ? kClient6 : kClient4; }
  Endpoint vip() const { return inner_v6 ? kVip6 : kVip4; }
  Endpoint backend() const { return outer_v6 ? kBackend6 : kBackend4; }
  Address local() const { return outer_v6 ? kLocal6 : kLocal4; }
  uint32_t header_bytes() const { return inner_v6 ? 40 : 20; }
};

const Mode kModes[]{
    {"dsr, IPv4", Forwarding::kDsr, false, false, 0},
    {"dsr, IPv6", Forwarding::kDsr, true, true, 0},
    {"dsr, IPv6 to a backend with an IPv4 address", Forwarding::kDsr, true, false, 0},
    {"ipip, IPv4 in IPv4", Forwarding::kIpip, false, false, 20},
    {"ipip, IPv6 in IPv4", Forwarding::kIpip, true, false, 20},
    {"ipip, IPv4 in IPv6", Forwarding::kIpip, false, true, 40},
    {"ipip, IPv6 in IPv6", Forwarding::kIpip, true, true, 40},
    {"gue, IPv4 in IPv4", Forwarding::kGue, false, false, 28},
    {"gue, IPv6 in IPv4", Forwarding::kGue, true, false, 28},
    {"gue, IPv4 in IPv6", Forwarding::kGue, false, true, 48},
    {"gue, IPv6 in IPv6", Forwarding::kGue, true, true, 48},
};

/// A bench with one service in a mode, over backend 0.
struct OneWayBench : WorkerBench {
  explicit OneWayBench(const Mode& of, const BenchOptions& options = {}, uint16_t vlan = 0)
      : WorkerBench(options), mode(of) {
    put_local(0, kLocal4);
    put_local(1, kLocal6);
    put_backend(0, mode.backend(), channel::kBackendReachable, 1, vlan);
    put_service();
    turn();
    EXPECT_EQ(counter(Counter::kCommandsRejected), 0u);
  }
  void put_service(uint16_t mss = 0) {
    channel::PutService service{};
    service.forwarding = mode.forwarding;
    service.mss = mss;
    WorkerBench::put_service(0, mode.vip(), {0}, service);
  }

  Frame client_frame() const { return Frame().from(mode.client()).to(mode.vip()); }

  /// What came out for the backend, outer headers checked and taken off. nullopt unless it was one frame.
  std::optional<Bytes> take_at_backend() {
    const auto frames = back().take();
    if (frames.size() != 1) return std::nullopt;
    if (mode.forwarding == Forwarding::kDsr) {
      MacAddress to;
      std::copy_n(frames[0].begin(), 6, to.bytes.begin());
      EXPECT_EQ(to, backend_mac(0));
      return frames[0];
    }
    outer = unwrap(frames[0]);
    EXPECT_TRUE(outer.has_value()) << "not tunnelled, or a wrong checksum";
    if (!outer) return std::nullopt;
    EXPECT_EQ(outer->destination_mac, backend_mac(0));
    EXPECT_EQ(outer->source, mode.local());
    EXPECT_EQ(outer->destination, mode.backend().address);
    EXPECT_FALSE(outer->may_fragment);
    if (mode.forwarding == Forwarding::kGue) {
      EXPECT_EQ(outer->protocol, 17);
      EXPECT_EQ(outer->destination_port, 6080);
      EXPECT_GE(outer->source_port, 0xc000);
    }
    return outer->inner;
  }
  std::optional<Bytes> pass(const Bytes& frame) {
    front().arrive(frame);
    turn();
    return take_at_backend();
  }
  std::optional<ReadFrame> pass(const Frame& frame) {
    const auto inner = pass(Frame(frame).to_mac(front_mac()).bytes());
    return inner ? read(*inner) : std::nullopt;
  }
  /// The client's half of a handshake.
  bool open(uint32_t client_isn = 1000, uint32_t server_isn = 5000) {
    return pass(client_frame().syn().seq(client_isn)).has_value() &&
           pass(client_frame().seq(client_isn + 1).ack(server_isn + 1)).has_value();
  }

  Mode mode;
  std::optional<Unwrapped> outer;  // of what was last taken
};

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
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 1u);
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
    EXPECT_EQ(service.flows_now, 1u);
    for (int i = 0; i < 30; i++) bench.turn(10'000);  // longer than a handshake may take
    EXPECT_EQ(bench.worker().flows().size(), 1u);
    ASSERT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5101).fin()).has_value());
    EXPECT_EQ(service.flows_now, 0u);
    EXPECT_EQ(bench.counter(Counter::kFlowsClosed), 1u);
    EXPECT_TRUE(bench.pass(bench.client_frame().seq(1002).ack(5102)).has_value()) << "the last ACK still has its way";
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

TEST(OneWay, WhatABackendSendsByWayOfUsIsTheKernels) {
  for (const Mode& mode : kModes) {
    if (mode.inner_v6 != mode.outer_v6) continue;
    SCOPED_TRACE(mode.name);
    OneWayBench bench(mode);
    ASSERT_TRUE(bench.open());
    bench.backend_sends(Frame().from(mode.vip()).to(mode.client()).seq(5001).ack(1001));
    bench.backend_sends(Frame().from(mode.backend()).to(mode.client()).seq(1).ack(1));
    bench.turn();
    EXPECT_EQ(bench.punted().size(), 2u);
    EXPECT_TRUE(bench.to_clients().empty());
  }
}

}  // namespace
}  // namespace sluice::testing
