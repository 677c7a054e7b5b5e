// SPDX-License-Identifier: Apache-2.0
//
// The worker's flows from their first packet to their end: timers, collisions, adoption, a table without room.
#include <gtest/gtest.h>

#include <memory>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

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

TEST_F(WorkerTest, KeepsThoseOfAServiceForAsLongAsItSays) {
  channel::PutService service{};
  service.idle_timeout_ms = 900'000;
  bench_.put_service(0, kVip, {0, 1, 2}, service);
  const auto backend = bench_.establish(kClient, kVip);
  const auto other = bench_.establish(kClient6, kVip6);
  ASSERT_TRUE(backend && other);
  bench_.turn(800'000);
  ASSERT_TRUE(bench_.backend_to_client(Frame().from(*backend).to(kClient).seq(5001).ack(1001).payload("220 x\r\n")));
  for (int i = 0; i < 8; i++) bench_.turn(100'000);
  EXPECT_EQ(bench_.worker().flows().size(), 2u);
  for (int i = 0; i < 4; i++) bench_.turn(100'000);
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsExpired), 1u);
  EXPECT_TRUE(bench_.backend_to_client(Frame().from(*other).to(kClient6).seq(5001).ack(1001).payload("220 x\r\n")));

  service.idle_timeout_ms = channel::kMaxIdleTimeoutMs + 1;
  bench_.put_service(0, kVip, {0, 1, 2}, service);
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), 1u);
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

TEST_F(WorkerTest, ASessionWithoutAFlowWaitsForTheServerThatTheHashLeadsTo) {
  WorkerBench all_reachable;
  for (uint16_t id = 0; id < 3; id++) all_reachable.put_backend(id, backend4(id));
  all_reachable.put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1});
  for (uint16_t port = 1000; port < 1020; port++) {
    SCOPED_TRACE(port);
    const Frame segment = Frame().from(endpoint("198.51.100.9", port)).to(kVip).seq(1001).ack(5001).payload("NOOP\r\n");
    const auto led = all_reachable.client_to_backend(segment);
    ASSERT_TRUE(led.has_value());
    uint16_t id = 0;
    while (backend4(id) != led->destination) id++;
    bench_.put_backend(id, backend4(id), 0);  // for a moment
    const uint64_t dropped = bench_.counter(Counter::kDropBackendUnreachable);
    bench_.client_sends(segment);
    bench_.turn();
    EXPECT_TRUE(bench_.to_backends().empty()) << "any other server would reset it";
    EXPECT_TRUE(bench_.to_clients().empty());
    EXPECT_EQ(bench_.counter(Counter::kDropBackendUnreachable), dropped + 1);
    EXPECT_EQ(bench_.worker().flows().size(), port - 1000U) << "no entry holds it to a server that it may not be with";
    bench_.put_backend(id, backend4(id));
    const auto sent = bench_.client_to_backend(segment);
    ASSERT_TRUE(sent.has_value());
    EXPECT_EQ(sent->destination, led->destination);
  }
}

}  // namespace
}  // namespace sluice::testing
