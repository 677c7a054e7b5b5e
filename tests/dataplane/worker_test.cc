// SPDX-License-Identifier: Apache-2.0
//
// The worker's stages on crafted frames, through real (ring) devices.
#include <gtest/gtest.h>

#include <set>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kOtherVip = endpoint("192.0.2.26", 25);
const Endpoint kVip6 = endpoint("2001:db8:25::25", 25);
const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kClient6 = endpoint("2001:db8:1::7", 40000);

Endpoint backend4(uint16_t id) {
  return endpoint("10.0.1." + std::to_string(10 + id), 2525);
}
Endpoint backend6(uint16_t id) {
  return endpoint("fd00:1::" + std::to_string(10 + id), 2525);
}

/// A bench with one v4 service (0) over backends 0..2 and one v6 service (1) over backends 3..5.
class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
    for (uint16_t id = 3; id < 6; id++) bench_.put_backend(id, backend6(id));
    bench_.put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1});
    bench_.put_service(1, kVip6, {3, 4, 5, 3, 4, 5, 4});
    bench_.turn();
    ASSERT_EQ(bench_.counter(Counter::kCommandsApplied), 10u);
  }

  void TearDown() override { bench_.expect_counter_law(); }

  WorkerBench bench_;
};

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

TEST_F(WorkerTest, ForgetsAClosedFlowAfterItsTimer) {
  const auto backend = bench_.establish(kClient, kVip);
  bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).fin());
  bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1002).fin());
  bench_.turn(239'000);
  for (int i = 0; i < 5; i++) bench_.turn(200);
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  for (int i = 0; i < 30; i++) bench_.turn(200);
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsClosingNow), 0u);
}

TEST_F(WorkerTest, KeepsASilentEstablishedFlowForTwoHours) {
  ASSERT_TRUE(bench_.establish(kClient, kVip).has_value());
  for (int i = 0; i < 72; i++) bench_.turn(100'000);  // 7200 s
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  for (int i = 0; i < 4; i++) bench_.turn(100'000);
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsExpired), 1u);
}

TEST_F(WorkerTest, AnswersANewFlowWithoutBackendsWithAReset) {
  bench_.put_service(0, kVip, {});
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(77));
  bench_.turn();
  const auto answers = bench_.to_clients();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(answers[0].ack, 78u);
  EXPECT_EQ(answers[0].source, kVip);
  EXPECT_EQ(answers[0].destination, kClient);
  EXPECT_EQ(answers[0].destination_mac, mac(0xc1));
  EXPECT_EQ(bench_.counter(Counter::kDropNoBackend), 1u);
  EXPECT_EQ(bench_.stats().services[0].flows_refused, 1u);
}

TEST_F(WorkerTest, SkipsBackendsThatAreDownOrUnreachable) {
  bench_.put_backend(0, backend4(0), channel::kBackendReachable | channel::kBackendDown);
  bench_.put_backend(1, backend4(1), 0);
  for (uint16_t port = 1000; port < 1040; port++) {
    const auto backend = bench_.establish(endpoint("198.51.100.9", port), kVip);
    ASSERT_TRUE(backend.has_value());
    EXPECT_EQ(*backend, backend4(2));
  }
}

TEST_F(WorkerTest, ResetsTheClientsOfABackendThatGoesDown) {
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend.has_value());
  bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1001).payload("220 hi\r\n"));
  uint16_t id = 0;
  while (backend4(id) != *backend) id++;
  bench_.put_backend(id, *backend, channel::kBackendReachable | channel::kBackendDown);
  bench_.turn();
  // No packet of the client's was needed: it may be waiting for the server.
  const auto resets = bench_.to_clients();
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].flags & kTcpRst, kTcpRst);
  EXPECT_EQ(resets[0].seq, 5009u);  // just what the client expects next (RFC 5961)
  EXPECT_EQ(resets[0].source, kVip);
  const auto to_backend = bench_.to_backends();
  ASSERT_EQ(to_backend.size(), 1u);
  EXPECT_EQ(to_backend[0].seq, 1001u);
  EXPECT_EQ(to_backend[0].flags & kTcpRst, kTcpRst);
  // What the client still sends is answered at its own numbers.
  bench_.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5009).payload("EHLO x\r\n"));
  bench_.turn();
  const auto again = bench_.to_clients();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].seq, 5009u);
  EXPECT_EQ(bench_.counter(Counter::kDropReset), 1u);
  EXPECT_TRUE(bench_.to_backends().empty());
}

TEST_F(WorkerTest, KeepsTheFlowsOfADownBackendWhenToldTo) {
  bench_.put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1}, channel::OnBackendDown::kKeep);
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend.has_value());
  uint16_t id = 0;
  while (backend4(id) != *backend) id++;
  bench_.put_backend(id, *backend, channel::kBackendReachable | channel::kBackendDown);
  bench_.turn();
  EXPECT_TRUE(bench_.to_clients().empty());
  EXPECT_TRUE(bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)).has_value());
}

TEST_F(WorkerTest, CutsTheFlowsOfABackendToBeCutWhateverTheServiceSays) {
  bench_.put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1}, channel::OnBackendDown::kKeep);
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend.has_value());
  uint16_t id = 0;
  while (backend4(id) != *backend) id++;
  bench_.put_backend(id, *backend, channel::kBackendReachable | channel::kBackendCut);
  bench_.turn();
  const auto told = bench_.to_clients();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].flags & kTcpRst, kTcpRst);
  const auto server_told = bench_.to_backends();
  ASSERT_EQ(server_told.size(), 1u);
  EXPECT_EQ(server_told[0].flags & kTcpRst, kTcpRst);
  EXPECT_EQ(bench_.stats().backends[id].flows_now, 0u);
  // Nor does it get new ones while a table still names it.
  bench_.put_service(0, kVip, {id});
  bench_.client_sends(Frame().from(endpoint("198.51.100.9", 45000)).to(kVip).syn());
  bench_.turn();
  EXPECT_TRUE(bench_.to_backends().empty());
  EXPECT_EQ(bench_.counter(Counter::kDropNoBackend), 1u);
}

TEST_F(WorkerTest, CutsTheFlowsOfADroppedBackendOrAReusedId) {
  for (const bool reuse : {false, true}) {
    WorkerBench bench;
    bench.put_backend(0, backend4(0));
    bench.put_service(0, kVip, {0}, channel::OnBackendDown::kKeep);
    ASSERT_TRUE(bench.establish(kClient, kVip).has_value());
    if (reuse) {
      bench.put_backend(0, backend4(1), channel::kBackendReachable, 2);
    } else {
      bench.command(channel::CommandType::kDropBackend, 0);
    }
    bench.turn();
    const auto resets = bench.to_clients();
    ASSERT_EQ(resets.size(), 1u) << reuse;
    EXPECT_EQ(resets[0].flags & kTcpRst, kTcpRst);
    EXPECT_TRUE(bench.to_backends().empty()) << "the new backend has nothing to do with it";
    bench.expect_counter_law();
  }
}

TEST_F(WorkerTest, SnapshotDropsWhatItDoesNotName) {
  bench_.command(channel::CommandType::kSnapshotBegin);
  for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
  bench_.put_service(0, kVip, {0, 1, 2});
  bench_.turn();
  EXPECT_TRUE(bench_.establish(kClient6, kVip6).has_value()) << "before the end of the snapshot nothing goes";
  bench_.command(channel::CommandType::kSnapshotEnd);
  bench_.turn();
  bench_.punted();
  bench_.to_clients();
  bench_.client_sends(Frame().from(endpoint("2001:db8:1::8", 1)).to(kVip6).syn());
  bench_.turn();
  EXPECT_EQ(bench_.punted().size(), 1u);
  EXPECT_EQ(bench_.stats().service_ids[1].key, 0u);
  EXPECT_EQ(bench_.stats().backend_ids[4].key, 0u);
  EXPECT_EQ(bench_.stats().backend_ids[4].generation, 1u) << "so that control does not use it again";
  EXPECT_TRUE(bench_.establish(kClient, kVip).has_value());
}

TEST_F(WorkerTest, RefusesCommandsThatPointOutside) {
  channel::PutService service{};
  service.header = {channel::CommandType::kPutService, 0, channel::kMaxServices, 0};
  bench_.command(channel::Command(service));
  service.header.id = 7;
  service.vip = kOtherVip.address;
  service.port = kOtherVip.port;
  service.table_offset = static_cast<uint32_t>(channel::kArenaBytes / channel::kArenaUnit) - 1;
  service.table_entries = 65537;
  bench_.command(channel::Command(service));
  service.table_entries = 0;
  service.scheduler = static_cast<channel::Scheduler>(99);
  bench_.command(channel::Command(service));
  service.scheduler = channel::Scheduler::kMaglev;
  service.vip = kVip.address;
  service.port = kVip.port;
  bench_.command(channel::Command(service));
  channel::PutBackend backend{};
  backend.header = {channel::CommandType::kPutBackend, 0, channel::kMaxBackends, 0};
  bench_.command(channel::Command(backend));
  backend.header.id = 9;
  backend.flags = channel::kBackendReachable;
  backend.port_index = 2;
  bench_.command(channel::Command(backend));
  bench_.command(static_cast<channel::CommandType>(200));
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), 7u);
  std::vector<channel::Event> events(16);
  const unsigned n = channel::take_some(bench_.events(), std::span<channel::Event>(events));
  ASSERT_EQ(n, 7u);
  using channel::RejectReason;
  const std::vector<RejectReason> expected{RejectReason::kIdOutOfRange, RejectReason::kTableOutOfArena,
                                           RejectReason::kBadEnum,      RejectReason::kServiceEndpointTaken,
                                           RejectReason::kIdOutOfRange, RejectReason::kBadPortIndex,
                                           RejectReason::kUnknownType};
  for (unsigned i = 0; i < n; i++) EXPECT_EQ(events[i].detail, static_cast<uint32_t>(expected[i])) << i;
  EXPECT_TRUE(bench_.establish(kClient, kVip).has_value()) << "nothing was changed";
}

TEST_F(WorkerTest, DoesNotBelieveTableEntriesThatAreNoBackends) {
  bench_.put_service(0, kVip, {channel::kNoBackend, 16000, 0x7fff, 1});
  for (uint16_t port = 1000; port < 1020; port++) {
    const auto backend = bench_.establish(endpoint("198.51.100.9", port), kVip);
    ASSERT_TRUE(backend.has_value());
    EXPECT_EQ(*backend, backend4(1));
  }
}

TEST_F(WorkerTest, PuntsWhatIsNotMail) {
  Bytes arp(60, 0);
  std::fill_n(arp.begin(), 6, uint8_t{0xff});
  arp[12] = 0x08;
  arp[13] = 0x06;
  bench_.front().arrive(arp);
  bench_.client_sends(Frame().from(kClient).to(endpoint("192.0.2.25", 22)).syn());
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

TEST_F(WorkerTest, NeverMixesUpTwoServicesOfOneClientEndpoint) {
  bench_.put_service(2, kOtherVip, {0, 1, 2, 0, 1, 2, 1});
  bench_.turn();
  for (uint16_t port = 2000; port < 2200; port++) {
    const Endpoint client = endpoint("198.51.100.7", port);
    const auto first = bench_.establish(client, kVip, 1000, 5000);
    const auto second = bench_.establish(client, kOtherVip, 9000, 3000);
    ASSERT_TRUE(first.has_value() && second.has_value());
    ASSERT_NE(*first, *second);
    const auto down = bench_.backend_to_client(Frame().from(*first).to(client).seq(5001).ack(1001));
    ASSERT_TRUE(down.has_value());
    EXPECT_EQ(down->source, kVip);
    const auto other = bench_.backend_to_client(Frame().from(*second).to(client).seq(3001).ack(9001));
    ASSERT_TRUE(other.has_value());
    EXPECT_EQ(other->source, kOtherVip);
  }
  EXPECT_GT(bench_.counter(Counter::kFlowsMovedByCollision), 0u);
}

TEST_F(WorkerTest, RefusesACollisionThatCannotBeAvoided) {
  bench_.put_service(0, kVip, {0});
  bench_.put_service(2, kOtherVip, {0});
  ASSERT_TRUE(bench_.establish(kClient, kVip).has_value());
  bench_.client_sends(Frame().from(kClient).to(kOtherVip).syn().seq(5));
  bench_.turn();
  EXPECT_TRUE(bench_.to_backends().empty());
  const auto answers = bench_.to_clients();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags & kTcpRst, kTcpRst);
  EXPECT_EQ(bench_.counter(Counter::kDropBackendCollision), 1u);
}

TEST_F(WorkerTest, LetsAClientUseItsPortAgain) {
  const auto backend = bench_.establish(kClient, kVip);
  bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).fin());
  bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1002).fin());
  ASSERT_TRUE(bench_.establish(kClient, kVip, 900'000, 800'000).has_value());
  EXPECT_EQ(bench_.counter(Counter::kFlowsCreated), 2u);
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablishedNow), 1u);
}

TEST_F(WorkerTest, PlacesARetriedSynElsewhereWhenItsBackendDied) {
  const auto syn = bench_.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1));
  ASSERT_TRUE(syn.has_value());
  uint16_t id = 0;
  while (backend4(id) != syn->destination) id++;
  bench_.put_backend(id, backend4(id), channel::kBackendDown);
  bench_.client_sends(Frame().from(kClient).to(kVip).syn().seq(1));
  bench_.turn();
  const auto again = bench_.to_backends();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_NE(again[0].destination, backend4(id));
}

TEST_F(WorkerTest, AdoptsAFlowInMidStreamAndConfirmsItByTheBackendsAnswer) {
  const auto up = bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(500).ack(900).payload("DATA\r\n"));
  ASSERT_TRUE(up.has_value());
  const std::vector<uint16_t> table{0, 1, 2, 0, 1, 2, 1};
  EXPECT_EQ(up->destination, backend4(table[table_index(placement_hash(kClient, kVip, {}), 7)]));
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablishedNow), 0u);
  ASSERT_TRUE(bench_.backend_to_client(Frame().from(up->destination).to(kClient).seq(900).ack(506)).has_value());
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablishedNow), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsAdopted), 1u);
}

TEST_F(WorkerTest, DoesNotBelieveABlindResetOrAckOfASynNeverSent) {
  const auto backend = bench_.establish(kClient, kVip);
  bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(0x40000000).rst());
  EXPECT_EQ(bench_.counter(Counter::kFlowsReset), 0u);
  bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(0x40000000).rst());
  EXPECT_EQ(bench_.counter(Counter::kFlowsReset), 0u);
  bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).rst());
  EXPECT_EQ(bench_.counter(Counter::kFlowsReset), 1u);
  const Endpoint spoofed = endpoint("203.0.113.9", 9);
  const auto syn = bench_.client_to_backend(Frame().from(spoofed).to(kVip).syn().seq(1));
  bench_.backend_to_client(Frame().from(syn->destination).to(spoofed).syn().seq(7777).ack(2));
  bench_.client_to_backend(Frame().from(spoofed).to(kVip).seq(2).ack(1234));
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablished), 1u);
}

TEST_F(WorkerTest, ASynFloodNeverEvictsAnEstablishedFlow) {
  const auto backend = bench_.establish(kClient, kVip);
  ASSERT_TRUE(backend.has_value());
  for (uint32_t i = 0; i < 50'000; i++) {
    const Endpoint spoofed{Address::v4(Be32::of(0x0b000000 + i)), Be16::of(static_cast<uint16_t>(i))};
    bench_.client_sends(Frame().from(spoofed).to(kVip).syn().seq(i));
    if (i % 16 == 15) {
      bench_.turn();
      bench_.back().take();
    }
  }
  EXPECT_LE(bench_.worker().flows().size(), 1024u + 1);
  EXPECT_GT(bench_.counter(Counter::kFlowsRecycledEmbryonic), 40'000u);
  EXPECT_EQ(bench_.counter(Counter::kDropTableFull), 0u);
  EXPECT_TRUE(bench_.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)).has_value());
  EXPECT_EQ(bench_.counter(Counter::kFlowsEstablishedNow), 1u);
  EXPECT_TRUE(bench_.establish(endpoint("198.51.100.8", 1), kVip).has_value()) << "new sessions get through";
}

TEST_F(WorkerTest, RecyclesClosedFlowsWhenTheTableIsFull) {
  WorkerBench bench({.flow_capacity = 1024});
  bench.put_backend(0, backend4(0));
  bench.put_service(0, kVip, {0});
  uint32_t established = 0;
  for (uint32_t i = 0; i < 3000; i++) {
    const Endpoint client{Address::v4(Be32::of(0x0b000000 + i)), Be16::of(1000)};
    const auto backend = bench.establish(client, kVip);
    if (!backend) continue;
    established++;
    bench.client_to_backend(Frame().from(client).to(kVip).seq(1001).ack(5001).fin());
    bench.backend_to_client(Frame().from(*backend).to(client).seq(5001).ack(1002).fin());
  }
  EXPECT_GE(established, 2900u);
  EXPECT_GE(bench.counter(Counter::kFlowsRecycledClosing), 1900u);
  bench.expect_counter_law();
}

TEST_F(WorkerTest, RefusesNewFlowsButKeepsTheOldWhenFullOfEstablishedOnes) {
  WorkerBench bench({.flow_capacity = 1024});
  bench.put_backend(0, backend4(0));
  bench.put_service(0, kVip, {0});
  for (uint32_t i = 0; i < 1024; i++) {
    ASSERT_TRUE(bench.establish({Address::v4(Be32::of(0x0b000000 + i)), Be16::of(1000)}, kVip).has_value()) << i;
  }
  bench.client_sends(Frame().from(kClient).to(kVip).syn());
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropTableFull), 1u);
  for (uint32_t i = 0; i < 1024; i++) {
    const Endpoint client{Address::v4(Be32::of(0x0b000000 + i)), Be16::of(1000)};
    ASSERT_TRUE(bench.client_to_backend(Frame().from(client).to(kVip).seq(1001).ack(5001)).has_value()) << i;
  }
  bench.expect_counter_law();
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

TEST_F(WorkerTest, ASuccessorAdoptsFlowMemory) {
  auto first = std::make_unique<WorkerBench>();
  first->put_backend(0, backend4(0));
  first->put_service(0, kVip, {0});
  ASSERT_TRUE(first->establish(kClient, kVip).has_value());
  WorkerBench second({.flow_memory = first->flow_memory(), .snapshot = false});
  EXPECT_EQ(second.worker().flows().adopted(), 1u);
  EXPECT_EQ(second.stats().backend_ids[0].key, 1000u);
  EXPECT_EQ(second.counter(Counter::kFlowsEstablishedNow), 1u);
  // Known flows pass before control has said a word; new ones wait for it.
  EXPECT_TRUE(second.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)).has_value());
  EXPECT_TRUE(second.backend_to_client(Frame().from(backend4(0)).to(kClient).seq(5001).ack(1001)).has_value());
  second.expect_counter_law();
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

}  // namespace
}  // namespace sluice::testing
