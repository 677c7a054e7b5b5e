// SPDX-License-Identifier: Apache-2.0
//
// What control tells the worker, and what becomes of the flows of backends that are down, cut or gone.
#include <gtest/gtest.h>

#include <vector>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

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

TEST_F(WorkerTest, BeginsTheCountersOfAnIdAtZeroForItsNewOwner) {
  WorkerBench bench;
  bench.put_backend(0, backend4(0));
  bench.put_service(0, kVip, {0});
  ASSERT_TRUE(bench.establish(kClient, kVip).has_value());
  ASSERT_EQ(bench.stats().backends[0].flows_created, 1u);
  bench.put_backend(0, backend4(0), channel::kBackendReachable | channel::kBackendDown);
  bench.turn();
  EXPECT_EQ(bench.stats().backends[0].flows_created, 1u) << "the same owner, told again";
  bench.put_backend(0, backend4(1), channel::kBackendReachable, 2);
  bench.turn();
  const channel::BackendCounters& counters = bench.stats().backends[0];
  EXPECT_EQ(counters.flows_created, 0u);
  EXPECT_EQ(counters.flows_established, 0u);
  EXPECT_EQ(counters.packets_in, 0u);
  EXPECT_EQ(counters.flows_now, 0u) << "the flow of the one before has left";
  for (const uint64_t bucket : bench.stats().backend_smtp[0].connect.buckets) EXPECT_EQ(bucket, 0u);
  bench.expect_counter_law();
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
  EXPECT_EQ(bench_.counter(Counter::kDropStrangers), 1u);
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

}  // namespace
}  // namespace sluice::testing
