// SPDX-License-Identifier: Apache-2.0
//
// Floods of forged packets against one worker, and what becomes of everybody else in them.
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "tests/dataplane/support/one_way_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

Endpoint forged(uint32_t n) {
  return {Address::v4(Be32::of(0x0b000000 + n)), Be16::of(1234)};
}

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kClient = endpoint("198.51.100.7", 40000);

Endpoint backend(uint16_t id) {
  return endpoint("10.0.1." + std::to_string(10 + id), 2525);
}

/// One service in nat mode over some backends.
struct Nat : WorkerBench {
  explicit Nat(const BenchOptions& options = {}, uint16_t backends = 1, channel::PutService service = {})
      : WorkerBench(options) {
    std::vector<uint16_t> table;
    for (uint16_t id = 0; id < backends; id++) {
      put_backend(id, backend(id));
      table.push_back(id);
    }
    put_service(0, kVip, table, service);
    turn();
  }
  /// SYNs of that many forged clients, from number `first` on.
  void flood(uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
      client_sends(Frame().from(forged(i)).to(kVip).syn().seq(i));
      if (i % 16 == 15 || i + 1 == first + count) turn_away();
    }
  }
  void turn_away() {
    turn();
    back().take();
  }
};

TEST(FullOfHandshakes, MakesRoomForAnotherAndKeepsWhatIsEstablished) {
  Nat bench({.flow_capacity = 1024});
  for (uint32_t i = 0; i < 800; i++) ASSERT_TRUE(bench.establish(forged(100'000 + i), kVip));
  bench.flood(0, 224);  // fewer than the ring takes
  bench.turn_away();
  ASSERT_TRUE(bench.establish(kClient, kVip));
  bench.flood(1000, 5000);
  ASSERT_TRUE(bench.establish(endpoint("198.51.100.8", 1), kVip));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 802u);
  EXPECT_EQ(bench.counter(Counter::kDropTableFull), 0u);
  EXPECT_EQ(bench.counter(Counter::kFlowsStateless), 0u);
  EXPECT_GT(bench.counter(Counter::kFlowsRecycledEmbryonic), 5000u);
  EXPECT_TRUE(bench.to_clients().empty());
  bench.expect_counter_law();
}

TEST(FullOfHandshakes, OldOnesGiveWayBeforeClosedFlowsAndThoseBeforeYoungOnes) {
  Nat bench({.flow_capacity = 1024});
  for (uint32_t i = 0; i < 850; i++) ASSERT_TRUE(bench.establish(forged(100'000 + i), kVip));
  for (uint32_t i = 0; i < 30; i++) {
    bench.client_sends(Frame().from(forged(100'000 + i)).to(kVip).seq(1001).ack(5001).rst());
    bench.turn_away();
  }
  ASSERT_EQ(bench.counter(Counter::kFlowsClosingNow), 30u);
  const auto recycled = [&] { return bench.counter(Counter::kFlowsRecycledEmbryonic); };
  const auto closed = [&] { return bench.counter(Counter::kFlowsRecycledClosing); };
  bench.flood(0, 47);  // from here on a burst's worth is kept free
  ASSERT_EQ(recycled() + closed(), 0u);
  bench.turn(TableRoom::kHandshakeMs);
  bench.flood(100, 47);
  EXPECT_EQ(recycled(), 47u);
  EXPECT_EQ(closed(), 0u);
  bench.flood(200, 16);
  for (uint32_t i = 0; i < 100; i++) {  // a search looks at some flows only
    bench.turn(1);
    bench.flood(300 + i, 1);
  }
  EXPECT_EQ(closed(), 30u);
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 820u);
}

channel::PutService of(channel::Scheduler scheduler) {
  channel::PutService message{};
  message.scheduler = scheduler;
  return message;
}

/// A client's handshake that its server has answered, and that a flood displaces. Returns the server, if all went well.
std::optional<Endpoint> answered_and_displaced(Nat& bench) {
  const auto syn = bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000));
  if (!syn) return std::nullopt;
  const Frame answer = Frame().from(syn->destination).to(kClient).syn().seq(5000).ack(1001);
  if (!bench.backend_to_client(answer)) return std::nullopt;
  bench.flood(0, 1100);
  return syn->destination;
}

TEST(DisplacedHandshake, ItsAckReachesTheBackendThatGotTheSyn) {
  for (const auto scheduler : {channel::Scheduler::kMaglev, channel::Scheduler::kWrr, channel::Scheduler::kLeastConn,
                               channel::Scheduler::kSource}) {
    SCOPED_TRACE(static_cast<int>(scheduler));
    Nat bench({}, 8, of(scheduler));
    for (uint16_t n = 0; n < 40; n++) {
      const Endpoint client = endpoint("198.51.100.7", static_cast<uint16_t>(2000 + n));
      const auto syn = bench.client_to_backend(Frame().from(client).to(kVip).syn().seq(1000));
      ASSERT_TRUE(syn);
      ASSERT_TRUE(bench.backend_to_client(Frame().from(syn->destination).to(client).syn().seq(5000).ack(1001)));
      bench.flood(2000U * n, 1100);
      const auto ack = bench.client_to_backend(Frame().from(client).to(kVip).seq(1001).ack(5001));
      ASSERT_TRUE(ack);
      EXPECT_EQ(ack->destination, syn->destination);
      EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), n + 1U);
    }
    EXPECT_EQ(bench.stats().service_smtp[0][channel::SmtpCounter::kGreeting2xx], 0u);
    const Endpoint last = endpoint("198.51.100.7", 2039);
    const auto flow = bench.client_to_backend(Frame().from(last).to(kVip).seq(1001).ack(5001));
    ASSERT_TRUE(flow);
    ASSERT_TRUE(bench.backend_to_client(
        Frame().from(flow->destination).to(last).seq(5001).ack(1001).psh().payload("220 mta1\r\n")));
    EXPECT_EQ(bench.stats().service_smtp[0][channel::SmtpCounter::kGreeting2xx], 1u) << "it is watched";
    bench.expect_counter_law();
  }
}

TEST(DisplacedHandshake, ItsSessionGetsItsProxyHeaderOnce) {
  channel::PutService service{};
  service.proxy = channel::ProxyHeader::kV2;
  Nat bench({}, 1, service);
  ASSERT_TRUE(answered_and_displaced(bench));
  bench.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
  bench.turn();
  const auto out = bench.to_backends();
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].seq, 1001u);
  EXPECT_TRUE(out[0].payload.empty());
  EXPECT_EQ(out[1].seq, 1001u);
  EXPECT_EQ(out[1].payload.size(), 28u);
  EXPECT_EQ(bench.counter(Counter::kProxyHeadersSent), 1u);
  ASSERT_TRUE(bench.backend_to_client(Frame().from(backend(0)).to(kClient).seq(5001).ack(1029).payload("220\r\n")));
  const auto ehlo = bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5006).payload("EHLO x\r\n"));
  ASSERT_TRUE(ehlo);
  EXPECT_EQ(ehlo->seq, 1029u);
  EXPECT_EQ(bench.counter(Counter::kProxyHeadersSent), 1u);
}

TEST(DisplacedHandshake, JunkAcksDoNotStarveItsAck) {
  Nat bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000)));
  ASSERT_TRUE(bench.backend_to_client(Frame().from(backend(0)).to(kClient).syn().seq(5000).ack(1001)));
  for (uint32_t i = 0; bench.counter(Counter::kDropAdoptQuota) < 100; i++) {
    bench.client_sends(Frame().from(forged(i)).to(kVip).seq(i).ack(i));
    if (i % 32 == 31) bench.turn_away();
  }
  EXPECT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
}

TEST(DisplacedHandshake, OnlyTheAckThatItsServerWouldBelieveEstablishes) {
  for (const auto& [seq, ack] : {std::pair{1001U, 5002U}, {1002U, 5001U}, {1001U, 77U}}) {
    Nat bench;
    ASSERT_TRUE(answered_and_displaced(bench));
    ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(seq).ack(ack)));
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 0u);
  }
}

TEST(DisplacedHandshake, OfABackendThatIsGoneGoesByTheHash) {
  Nat bench({}, 2);
  const auto server = answered_and_displaced(bench);
  ASSERT_TRUE(server);
  const uint16_t id = *server == backend(0) ? 0 : 1;
  bench.put_backend(id, *server, channel::kBackendReachable, 2);  // another one by now
  bench.put_backend(static_cast<uint16_t>(1 - id), backend(static_cast<uint16_t>(1 - id)));
  bench.turn_away();
  bench.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
  bench.turn_away();
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 0u);
}

TEST(DisplacedHandshake, OfABackendThatCannotBeReachedForAMomentWaitsForIt) {
  Nat bench({}, 2);
  const auto server = answered_and_displaced(bench);
  ASSERT_TRUE(server);
  const uint16_t id = *server == backend(0) ? 0 : 1;
  bench.put_backend(id, *server, 0);
  bench.turn_away();
  const Frame ack = Frame().from(kClient).to(kVip).seq(1001).ack(5001);
  EXPECT_FALSE(bench.client_to_backend(ack));
  EXPECT_EQ(bench.counter(Counter::kDropBackendUnreachable), 1u);
  bench.put_backend(id, *server);
  bench.turn_away();
  const auto sent = bench.client_to_backend(ack);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->destination, *server);
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 1u);
  bench.expect_counter_law();
}

TEST(OneWayFlood, DisplacedHandshakesReachTheBackendThatGotTheSyn) {
  OneWayBench bench(kModes[0]);
  channel::PutService service = of(channel::Scheduler::kWrr);
  service.forwarding = channel::Forwarding::kDsr;
  std::vector<uint16_t> table;
  for (uint16_t id = 0; id < 8; id++) {
    bench.put_backend(id, backend(id));
    table.push_back(id);
  }
  bench.WorkerBench::put_service(0, bench.mode.vip(), table, service);
  const auto station = [&](const Frame& frame) {
    bench.client_sends(frame);
    bench.turn();
    const auto out = bench.to_backends();
    return out.size() == 1 ? out[0].destination_mac : MacAddress{};
  };
  const auto flood = [&](uint32_t first) {
    for (uint32_t i = first; i < first + 1100; i++) {
      bench.client_sends(Frame().from(forged(i)).to(bench.mode.vip()).syn().seq(i));
      if (i % 16 != 15) continue;
      bench.turn();
      bench.back().take();
    }
    bench.turn();
    bench.back().take();
  };
  for (uint16_t n = 0; n < 20; n++) {
    const Endpoint client = endpoint("198.51.100.7", static_cast<uint16_t>(2000 + n));
    const Frame from = Frame().from(client).to(bench.mode.vip());
    const MacAddress first = station(Frame(from).syn().seq(1000));
    flood(5000U * n);
    EXPECT_EQ(station(Frame(from).seq(1001).ack(5001)), first) << "it had the SYN";
    flood(5000U * n + 2000);
    EXPECT_EQ(station(Frame(from).seq(1001).ack(5051)), first) << "and the ACK";
    for (int i = 0; i < 65 && n == 0; i++) bench.turn(1000);
    EXPECT_EQ(station(Frame(from).seq(1001).ack(5051).payload("EHLO x\r\n")), first) << "a minute of silence later";
  }
}

TEST(OneWayFlood, NoConnectionIsRefusedForWantOfRoomWhateverTheSetting) {
  constexpr uint16_t kCapacity = 64;
  for (const auto rule : {OnTableFull::kStateless, OnTableFull::kReset, OnTableFull::kSilence}) {
    for (const Mode& mode : kModes) {
      SCOPED_TRACE(std::string(mode.name) + ", on_table_full " + std::to_string(static_cast<int>(rule)));
      OneWayBench bench(mode, {.flow_capacity = kCapacity, .on_table_full = rule});
      bench.fill(kCapacity);
      ASSERT_EQ(bench.worker().flows().available(), 0u);
      const auto syn = bench.pass(bench.client_frame().syn().seq(1000).tcp_options({2, 4, 0x23, 0x28}));
      ASSERT_TRUE(syn);
      EXPECT_EQ(syn->destination, mode.vip());
      EXPECT_EQ(syn->source, mode.client());
      if (mode.overhead != 0) {
        const uint32_t mss = 1500 - mode.overhead - mode.header_bytes() - 20;
        EXPECT_EQ(syn->tcp_options, (Bytes{2, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss)}));
      }
      const auto ack = bench.pass(bench.client_frame().seq(1001).ack(5001).payload("EHLO x\r\n").ttl(60));
      ASSERT_TRUE(ack);
      EXPECT_EQ(ack->ttl, 59);
      EXPECT_TRUE(bench.pass(bench.client_frame().seq(1009).ack(5101).fin()));
      EXPECT_TRUE(bench.pass(bench.client_frame().seq(1010).rst()));
      EXPECT_EQ(bench.counter(Counter::kFlowsStateless), 4u);
      EXPECT_EQ(bench.stats().services[0].flows_refused, 0u);
      EXPECT_EQ(bench.drops(), 0u);
      EXPECT_TRUE(bench.to_clients().empty());
      bench.expect_counter_law();
    }
  }
}

TEST(OneWayFlood, WhatIsTooLongForTheTunnelIsToldWithoutAnEntryToo) {
  OneWayBench bench(kModes[3], {.flow_capacity = 64});
  bench.fill(64);
  bench.client_sends(bench.client_frame().seq(1001).ack(5001).payload(std::string(1460, 'x')));
  bench.turn();
  EXPECT_TRUE(bench.back().take().empty());
  EXPECT_EQ(bench.counter(Counter::kDropTooBig), 1u);
  EXPECT_EQ(bench.counter(Counter::kIcmpSent), 1u);
}

TEST(OneWayFlood, WithoutABackendAFullTableRefusesAsAnEmptyOneDoes) {
  OneWayBench bench(kModes[0], {.flow_capacity = 64});
  bench.fill(64);
  bench.put_backend(0, bench.mode.backend(), 0);
  bench.client_sends(bench.client_frame().syn().seq(1000));
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropNoBackend), 1u);
  EXPECT_EQ(bench.counter(Counter::kDropTableFull), 0u);
}

TEST(OneWayFlood, ForgedHandshakesLastNoLongerThanAHandshake) {
  struct Case {
    const char* description;
    std::vector<Frame> packets;
  };
  const Case cases[]{
      {"SYN, ACK", {Frame().syn().seq(1000), Frame().seq(1001).ack(77)}},
      {"and data", {Frame().syn().seq(1000), Frame().seq(1001).ack(77), Frame().seq(1001).ack(77).payload("x")}},
      {"and data that acknowledges more",
       {Frame().syn().seq(1000), Frame().seq(1001).ack(77), Frame().seq(1001).ack(99).payload("x")}},
      {"data with the ACK",
       {Frame().syn().seq(1000), Frame().seq(1001).ack(77).payload("x"), Frame().seq(1002).ack(99)}},
      {"acknowledgements alone",
       {Frame().syn().seq(1000), Frame().seq(1001).ack(77), Frame().seq(1001).ack(88), Frame().seq(1001).ack(99)}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    OneWayBench bench(kModes[0], {.flow_capacity = 1024});
    for (uint32_t i = 0; i < 2000; i++) {
      for (const Frame& packet : c.packets) {
        bench.client_sends(Frame(packet).from(forged(i)).to(bench.mode.vip()));
        bench.turn();
        bench.back().take();
      }
    }
    EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 0u);
    EXPECT_LE(bench.worker().flows().size(), 256u) << "they have a quarter of the table";
    for (int i = 0; i < 62; i++) bench.turn(1000);
    EXPECT_EQ(bench.worker().flows().size(), 0u);
  }
}

TEST(OneWayFlood, ForgedDialoguesGiveWayWhenTheTableIsFull) {
  OneWayBench bench(kModes[0], {.flow_capacity = 512});
  bench.fill(512);
  Endpoint held = bench.mode.client();
  bench.turn(TableRoom::kIdleMs + 1);
  for (uint16_t i = 0; i < 100; i++) {  // these go on
    held.port = Be16::of(static_cast<uint16_t>(1000 + i));
    ASSERT_TRUE(bench.pass(Frame().from(held).to(bench.mode.vip()).seq(1009).ack(5101).payload("NOOP\r\n")));
  }
  for (uint16_t i = 0; i < 300; i++) {
    held.port = Be16::of(static_cast<uint16_t>(10'000 + i));
    ASSERT_TRUE(bench.pass(Frame().from(held).to(bench.mode.vip()).syn().seq(1000)));
  }
  EXPECT_GT(bench.counter(Counter::kFlowsCreated), 512u);
  EXPECT_GE(bench.counter(Counter::kFlowsExpired), 128u) << "new ones have a quarter of the table";
  const uint64_t stateless = bench.counter(Counter::kFlowsStateless);
  EXPECT_LE(stateless, 1u);
  for (uint16_t i = 0; i < 100; i++) {
    held.port = Be16::of(static_cast<uint16_t>(1000 + i));
    ASSERT_TRUE(bench.pass(Frame().from(held).to(bench.mode.vip()).seq(1015).ack(5111).payload("NOOP\r\n")));
  }
  EXPECT_EQ(bench.counter(Counter::kFlowsStateless), stateless) << "all have their entry";
  EXPECT_EQ(bench.counter(Counter::kFlowsAdopted), 0u);
}

TEST(OneWayFlood, AnIdleFlowThatTheHashWouldNotFindKeepsItsPlace) {
  OneWayBench bench(kModes[0], {.flow_capacity = 64});
  bench.fill(64);
  bench.put_backend(1, endpoint("10.0.1.11", 25));
  channel::PutService service{};
  service.forwarding = channel::Forwarding::kDsr;
  bench.WorkerBench::put_service(0, bench.mode.vip(), {1}, service);  // backend 0 drains
  bench.turn(TableRoom::kIdleMs + 1);
  for (uint16_t i = 0; i < 300; i++) {
    bench.client_sends(Frame().from(forged(i)).to(bench.mode.vip()).syn().seq(1000));
    bench.turn(1);
    bench.back().take();
  }
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 64u);
}

TEST(OneWayFlood, BeyondTheAdoptionQuotaSessionsAreCarriedWithoutAnEntry) {
  OneWayBench bench(kModes[0], {.flow_capacity = 1 << 16});
  for (uint32_t i = 0; bench.counter(Counter::kFlowsAdopted) < 20'000; i++) {
    bench.client_sends(Frame().from(forged(i)).to(bench.mode.vip()).seq(i).ack(i));
    if (i % 32 != 31) continue;
    bench.turn();
    bench.back().take();
  }
  EXPECT_TRUE(bench.pass(bench.client_frame().seq(1001).ack(5001).payload("DATA\r\n")));
  EXPECT_EQ(bench.counter(Counter::kDropAdoptQuota), 0u);
  EXPECT_EQ(bench.drops(), 0u);
}

}  // namespace
}  // namespace sluice::testing
