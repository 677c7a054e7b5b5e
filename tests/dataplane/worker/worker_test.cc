// SPDX-License-Identifier: Apache-2.0
//
// The worker's stages on crafted frames, through real (ring) devices.
#include <gtest/gtest.h>

#include <set>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

TEST_F(WorkerTest, TranslatesBothWaysForBothFamilies) {
  struct Case {
    const char* description;
    Endpoint client, vip;
    Bytes options;
    std::string payload;
  };
  const std::vector<Case> cases{
      {"IPv4", kClient, kVip, {}, ""},
      {"IPv4 with options and an odd payload", kClient, kVip, {2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7}, "EHLO x\r\n!"},
      {"IPv6", kClient6, kVip6, {}, ""},
      {"IPv6 with options and an odd payload", kClient6, kVip6, {8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, "MAIL FROM:<>\r"},
  };
  uint16_t port = 50000;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    Endpoint client = c.client;
    client.port = Be16::of(port++);
    const auto backend = bench_.establish(client, c.vip);
    ASSERT_TRUE(backend.has_value());
    const auto up = bench_.client_to_backend(
        Frame().from(client).to(c.vip).seq(1001).ack(5001).psh().tcp_options(c.options).payload(c.payload).ttl(60));
    ASSERT_TRUE(up.has_value());
    EXPECT_EQ(up->source, client);
    EXPECT_EQ(up->destination, *backend);
    EXPECT_EQ(up->ttl, 59);
    EXPECT_EQ(up->seq, 1001u);
    EXPECT_EQ(up->payload, Bytes(c.payload.begin(), c.payload.end()));
    EXPECT_EQ(up->source_mac, WorkerBench::back_mac());
    const auto down =
        bench_.backend_to_client(Frame().from(*backend).to(client).seq(5001).ack(1001).payload("220 ok\r\n"));
    ASSERT_TRUE(down.has_value());
    EXPECT_EQ(down->source, c.vip);
    EXPECT_EQ(down->destination, client);
    EXPECT_EQ(down->destination_mac, mac(0xc1));
    EXPECT_EQ(down->source_mac, WorkerBench::front_mac());
  }
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablished), cases.size());
}

TEST_F(WorkerTest, TranslatesRandomPacketsWithRightChecksums) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 17U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  srand(seed);
  for (const bool v6 : {false, true}) {
    const Endpoint client = v6 ? kClient6 : kClient;
    const Endpoint vip = v6 ? kVip6 : kVip;
    const auto backend = bench_.establish(client, vip);
    ASSERT_TRUE(backend.has_value());
    for (int i = 0; i < 500; i++) {
      Bytes payload(static_cast<size_t>(rand() % 1400));
      for (uint8_t& byte : payload) byte = static_cast<uint8_t>(rand() % 3 == 0 ? 0xff : rand());
      Bytes options(static_cast<size_t>(rand() % 10) * 4, 1);
      const auto up = bench_.client_to_backend(Frame()
                                                   .from(client)
                                                   .to(vip)
                                                   .seq(1001 + static_cast<uint32_t>(rand() % 1000))
                                                   .ack(5001)
                                                   .tcp_options(options)
                                                   .payload(payload)
                                                   .ttl(static_cast<uint8_t>(2 + rand() % 250)));
      ASSERT_TRUE(up.has_value()) << i;  // read() verified the checksums in full
      ASSERT_EQ(up->payload, payload);
      const auto down =
          bench_.backend_to_client(Frame().from(*backend).to(client).seq(5001).ack(1001).payload(payload));
      ASSERT_TRUE(down.has_value()) << i;
      ASSERT_EQ(down->payload, payload);
    }
  }
}

TEST_F(WorkerTest, PlacesByTheTableAndKeepsTheFlowThere) {
  std::set<Endpoint, decltype([](const Endpoint& a, const Endpoint& b) { return a.address < b.address; })> seen;
  for (uint16_t i = 0; i < 60; i++) {
    const Endpoint client = endpoint("198.51.100.7", static_cast<uint16_t>(41000 + i));
    const auto backend = bench_.establish(client, kVip);
    ASSERT_TRUE(backend.has_value());
    seen.insert(*backend);
    const std::vector<uint16_t> table{0, 1, 2, 0, 1, 2, 1};
    const uint32_t entry = table_index(placement_hash(client, kVip, channel::HashOn::kConnection), 7);
    EXPECT_EQ(*backend, backend4(table[entry]));
  }
  EXPECT_EQ(seen.size(), 3u);
  // Another table does not move them.
  bench_.put_service(0, kVip, {2});
  bench_.turn();
  const Endpoint first = endpoint("198.51.100.7", 41000);
  const std::vector<uint16_t> table{0, 1, 2, 0, 1, 2, 1};
  const auto up = bench_.client_to_backend(Frame().from(first).to(kVip).seq(1001).ack(5001).payload("x"));
  ASSERT_TRUE(up.has_value());
  EXPECT_EQ(up->destination, backend4(table[table_index(placement_hash(first, kVip, {}), 7)]));
}

TEST_F(WorkerTest, PlacesByTheSitesSecret) {
  const std::vector<uint16_t> table{0, 1, 2, 0, 1, 2, 1};
  bench_.put_service(0, kVip, table);
  const auto go_by = [&](uint16_t from, uint64_t secret) {
    for (uint16_t port = from; port < from + 20; port++) {
      const Endpoint client = endpoint("198.51.100.7", port);
      const auto entry = table_index(placement_hash(client, kVip, channel::HashOn::kConnection, secret), 7);
      EXPECT_EQ(bench_.establish(client, kVip), backend4(table[entry])) << port;
    }
  };
  bench_.put_secret(7);
  bench_.turn();
  go_by(41000, 7);
  // Of a new connection of control's, that has none.
  bench_.command(channel::CommandType::kSnapshotBegin, 0);
  for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
  bench_.put_service(0, kVip, table);
  bench_.command(channel::CommandType::kSnapshotEnd, 0);
  bench_.turn();
  go_by(42000, 0);
}

TEST_F(WorkerTest, CountsPacketsFlowsAndBytes) {
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend.has_value());
  bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).payload("0123456789"));
  const auto& service = bench_.stats().services[0];
  EXPECT_EQ(service.packets_in, 3u);
  EXPECT_EQ(service.bytes_in, 3 * 40u + 10);
  EXPECT_EQ(service.packets_out, 1u);
  EXPECT_EQ(service.flows_created, 1u);
  EXPECT_EQ(service.flows_now, 1u);
  EXPECT_EQ(service.flows_established, 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablishedNow), 1u);
  bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1011).ack(5001).fin());
  EXPECT_EQ(bench_.counter(Counter::kFlowsClosingNow), 1u);
  EXPECT_EQ(service.flows_now, 1u);
  bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1012).fin());
  EXPECT_EQ(service.flows_now, 0u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsClosed), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablishedNow), 0u);
}

TEST_F(WorkerTest, PuntsWhatIsNotMail) {
  Bytes arp(60, 0);
  std::fill_n(arp.begin(), 6, uint8_t{0xff});
  arp[12] = 0x08;
  arp[13] = 0x06;
  bench_.front().arrive(arp);
  bench_.client_sends(Frame().from(kClient).to({WorkerBench::own_front(), Be16::of(22)}).syn());
  bench_.backend_sends(Frame().from(backend4(0)).to(endpoint("10.0.1.1", 55555)).syn().ack(1));
  bench_.turn();
  EXPECT_EQ(bench_.punted().size(), 3u);
  EXPECT_EQ(bench_.counter(Counter::kPunted), 3u);
}

TEST_F(WorkerTest, DropsBadPacketsByName) {
  const Frame good = Frame().from(kClient).to(kVip).syn().to_mac(WorkerBench::front_mac());
  const auto mutated = [&](size_t at, uint8_t value) {
    Bytes out = good.bytes();
    out.at(at) = value;
    return out;
  };
  struct Case {
    const char* description;
    Bytes frame;
    Counter counter;
  };
  Bytes other_host = good.bytes();
  other_host[5] = 0x77;
  const std::vector<Case> cases{
      {"IP total length beyond the frame", mutated(16, 0x10), Counter::kDropTruncated},
      {"IP total length below its header", mutated(17, 10), Counter::kDropMalformed},
      {"IP header length of 4 words", mutated(14, 0x44), Counter::kDropMalformed},
      {"IP version 7", mutated(14, 0x75), Counter::kDropMalformed},
      {"TCP offset of 4 words", mutated(46, 0x40), Counter::kDropMalformed},
      {"TCP offset beyond the packet", mutated(46, 0xf0), Counter::kDropTruncated},
      {"SYN and FIN", mutated(47, 0x03), Counter::kDropMalformed},
      {"SYN and RST", mutated(47, 0x06), Counter::kDropMalformed},
      {"no flags", mutated(47, 0x00), Counter::kDropMalformed},
      {"frame of 10 bytes", Bytes(10, 0), Counter::kDropTruncated},
      {"another station's", other_host, Counter::kDropOtherHost},
      {"first fragment of no whole units", Frame(good).fragment(0x2000).bytes(), Counter::kDropMalformed},
      {"last fragment for a VIP", Frame(good).fragment(0x0010).bytes(), Counter::kDropFragment},
      {"no hops left", Frame(good).ttl(1).bytes(), Counter::kDropTtlExpired},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.description);
    const uint64_t before = bench_.counter(c.counter);
    bench_.front().arrive(c.frame);
    bench_.turn();
    EXPECT_EQ(bench_.counter(c.counter), before + 1);
    EXPECT_TRUE(bench_.back().take().empty());
    bench_.expect_counter_law();
  }
}

TEST(Worker, TakesWhatComesToAFurtherAddressOfThePort) {
  const MacAddress vrrp{{0x00, 0x00, 0x5e, 0x00, 0x01, 0x19}};
  WorkerBench bench({.front_extra_macs = {{{0x02, 0x11, 0, 0, 0, 1}}, vrrp}});
  bench.put_backend(0, backend4(0));
  bench.put_service(0, kVip, {0});
  const auto to = [](Frame frame, const MacAddress& mac) { return frame.to_mac(mac).bytes(); };
  bench.front().arrive(to(Frame().from(kClient).to(kVip).syn().seq(1000), vrrp));
  bench.turn();
  const std::vector<ReadFrame> out = bench.to_backends();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].source_mac, WorkerBench::back_mac());
  bench.front().arrive(to(Frame().from(kClient).to(kVip).syn().seq(1000), {{0x00, 0x00, 0x5e, 0x00, 0x01, 0x1a}}));
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropOtherHost), 1u);
  bench.expect_counter_law();
}

TEST_F(WorkerTest, SurvivesEveryTruncationAndRandomBytes) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 3U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  srand(seed);
  for (const auto& [client, vip] : {std::pair{kClient, kVip}, std::pair{kClient6, kVip6}}) {
    const Bytes whole = Frame()
                            .from(client)
                            .to(vip)
                            .syn()
                            .payload("x")
                            .tcp_options({2, 4, 5, 0xb4})
                            .to_mac(WorkerBench::front_mac())
                            .bytes();
    for (size_t length = 1; length <= whole.size(); length++) {
      bench_.front().arrive(Bytes(whole.begin(), whole.begin() + static_cast<long>(length)));
      bench_.turn();
    }
    for (int i = 0; i < 5000; i++) {
      Bytes frame = whole;
      for (int change = rand() % 4; change >= 0; change--) {
        frame[12 + static_cast<size_t>(rand()) % (frame.size() - 12)] = static_cast<uint8_t>(rand());
      }
      bench_.front().arrive(frame);
      bench_.turn();
      bench_.front().take();
      bench_.back().take();
      bench_.punted();
    }
  }
}

TEST_F(WorkerTest, KeepsToTheVlanAndStationThatThePacketsCameFrom) {
  bench_.put_backend(0, backend4(0), channel::kBackendReachable, 1, 300);
  bench_.put_service(0, kVip, {0});
  const auto syn = bench_.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1).vlan(100).from_mac(mac(0xd1)));
  ASSERT_TRUE(syn.has_value());
  EXPECT_EQ(syn->vlan, 300);
  EXPECT_EQ(syn->destination_mac, WorkerBench::backend_mac(0));
  const auto answer = bench_.backend_to_client(Frame().from(backend4(0)).to(kClient).syn().seq(9).ack(2).vlan(300));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->vlan, 100);
  EXPECT_EQ(answer->destination_mac, mac(0xd1));
  // The route moves to another router, untagged.
  ASSERT_TRUE(bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(2).ack(10).from_mac(mac(0xd2))).has_value());
  const auto moved = bench_.backend_to_client(Frame().from(backend4(0)).to(kClient).seq(10).ack(2).payload("220\r\n"));
  ASSERT_TRUE(moved.has_value());
  EXPECT_EQ(moved->vlan, 0);
  EXPECT_EQ(moved->destination_mac, mac(0xd2));
}

TEST_F(WorkerTest, WorksOnOneArm) {
  WorkerBench bench({.front = Faces::kBoth, .back = Faces::kBoth});
  bench.put_backend(0, backend4(0));
  bench.put_service(0, kVip, {0});
  EXPECT_TRUE(bench.establish(kClient, kVip).has_value());
  EXPECT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)).has_value());
}

TEST_F(WorkerTest, ServesABackendThatIsItselfAClient) {
  const Endpoint mta = endpoint("10.0.1.12", 33333);
  bench_.backend_sends(Frame().from(mta).to(kVip).syn().seq(1));
  bench_.turn();
  const auto frames = bench_.to_backends();
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].source, mta);
  // Seen again on the same port: now the flow is known.
  bench_.backend_sends(Frame().from(mta).to(kVip).syn().seq(1));
  bench_.turn();
  EXPECT_EQ(bench_.to_backends().size(), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsCreated), 1u);
}

TEST_F(WorkerTest, CountsWhatTheDeviceRefusesToTransmit) {
  ASSERT_TRUE(bench_.establish(kClient, kVip).has_value());
  for (int i = 0; i < 1200; i++) {
    bench_.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001));
    if (i % 32 == 31) bench_.turn();
  }
  bench_.turn();
  EXPECT_GT(bench_.counter(Counter::kDropTransmitFull), 0u);
  bench_.expect_counter_law();
}

TEST(WorkerStages, AreTimedInTurnsThatFindSomethingAlone) {
  WorkerBench bench;
  bench.turn();  // takes up the snapshot
  bench.turns(4 * channel::kStageSampling);
  const uint64_t idle = bench.counter(Counter::kStagePollControl) + bench.counter(Counter::kStageReceive);
  EXPECT_EQ(idle, 0u);
  EXPECT_EQ(bench.counter(Counter::kSampledPackets), 0u);
  for (uint32_t i = 0; i < channel::kStageSampling; i++) {
    bench.client_sends(Frame().from(endpoint("198.51.100.7", 1000)).to(endpoint("192.0.2.99", 25)).syn());
    bench.turn();
  }
  EXPECT_EQ(bench.counter(Counter::kSampledPackets), 1u);
  EXPECT_GT(bench.counter(Counter::kStageReceive), 0u);
  EXPECT_GT(bench.counter(Counter::kStageParse), 0u);
}

}  // namespace
}  // namespace sluice::testing
