// SPDX-License-Identifier: Apache-2.0
//
// A flow table without room: connections without an entry, and the answers of the settings beside it.
#include <gtest/gtest.h>

#include "dataplane/flow/return_paths.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kCapacity = 64;
const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kVip6 = endpoint("2001:db8:25::25", 25);
const Endpoint kOtherVip = endpoint("192.0.2.26", 25);
const Endpoint kProxyVip = endpoint("192.0.2.27", 25);
const Endpoint kOwn = endpoint("10.0.1.1", 40000);

Endpoint backend4(uint16_t id) {
  return endpoint("10.0.1." + std::to_string(10 + id), 2525);
}
Endpoint backend6(uint16_t id) {
  return endpoint("fd00:1::" + std::to_string(10 + id), 2525);
}
Endpoint client(uint16_t port) {
  return endpoint("198.51.100.7", port);
}
Endpoint client6(uint16_t port) {
  return endpoint("2001:db8:1::7", port);
}

/// Services 0 (v4, backends 0 to 2) and 1 (v6, 3 to 5) that have their backends for themselves; 2 and 4, which share
/// backend 6; 3, which injects PROXY headers into backend 7.
class FullTable : public ::testing::Test {
 protected:
  void open(BenchOptions options = {}) {
    options.flow_capacity = kCapacity;
    bench_.emplace(options);
    for (uint16_t id = 0; id < 3; id++) bench_->put_sole_backend(id, backend4(id), 0);
    for (uint16_t id = 3; id < 6; id++) bench_->put_sole_backend(id, backend6(id), 1);
    bench_->put_backend(6, backend4(6));
    bench_->put_sole_backend(7, backend4(7), 3);
    bench_->put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1});
    bench_->put_service(1, kVip6, {3, 4, 5, 3, 4, 5, 4});
    bench_->put_service(2, kOtherVip, {6});
    bench_->put_service(4, endpoint("192.0.2.28", 25), {6});
    channel::PutService proxy{};
    proxy.proxy = channel::ProxyHeader::kV2;
    bench_->put_service(3, kProxyVip, {7}, proxy);
    bench_->turn();
    ASSERT_EQ(bench_->counter(Counter::kCommandsRejected), 0u);
  }

  /// Takes every place with an established flow, of clients' ports from 1000 on.
  void fill() {
    for (uint16_t i = 0; i < kCapacity; i++) {
      const auto backend = bench_->establish(client(static_cast<uint16_t>(1000 + i)), kVip);
      ASSERT_TRUE(backend.has_value());
      held_.push_back(*backend);
    }
    ASSERT_EQ(bench_->worker().flows().available(), 0u);
  }

  /// Ends the flow of client port `port` and lets its entry go.
  void end(uint16_t port, const Endpoint& backend) {
    bench_->client_to_backend(Frame().from(client(port)).to(kVip).seq(1001).ack(5001).rst());
    bench_->backend_to_client(Frame().from(backend).to(client(port)).seq(5001).ack(1001).rst());
    for (int i = 0; i < 20 && bench_->worker().flows().available() == 0; i++) bench_->turn(1000);
    ASSERT_EQ(bench_->worker().flows().available(), 1u);
  }

  void TearDown() override { bench_->expect_counter_law(); }

  std::optional<WorkerBench> bench_;
  std::vector<Endpoint> held_;
};

TEST_F(FullTable, CarriesNewConnectionsWithoutAnEntry) {
  open();
  fill();
  struct Case {
    const char* description;
    Endpoint client, vip;
  };
  for (const Case& c : {Case{"IPv4", client(50000), kVip}, Case{"IPv6", client6(50000), kVip6}}) {
    SCOPED_TRACE(c.description);
    const auto backend = bench_->establish(c.client, c.vip);
    ASSERT_TRUE(backend.has_value());
    const auto down =
        bench_->backend_to_client(Frame().from(*backend).to(c.client).seq(5001).ack(1001).payload("220 ok\r\n"));
    ASSERT_TRUE(down.has_value());
    EXPECT_EQ(down->source, c.vip);
    EXPECT_EQ(down->destination, c.client);
    EXPECT_EQ(down->destination_mac, mac(0xc1));
    const auto up = bench_->client_to_backend(
        Frame().from(c.client).to(c.vip).seq(1001).ack(5009).psh().payload("QUIT\r\n").ttl(60));
    ASSERT_TRUE(up.has_value());
    EXPECT_EQ(up->destination, *backend);
    EXPECT_EQ(up->ttl, 59);
    const auto fin = bench_->client_to_backend(Frame().from(c.client).to(c.vip).seq(1007).ack(5009).fin());
    ASSERT_TRUE(fin.has_value());
    EXPECT_EQ(fin->destination, *backend);
    const auto rst = bench_->backend_to_client(Frame().from(*backend).to(c.client).seq(5009).ack(1008).rst());
    ASSERT_TRUE(rst.has_value());
    EXPECT_EQ(rst->source, c.vip);
  }
  EXPECT_EQ(bench_->counter(Counter::kFlowsStateless), 2 * 7u);
  EXPECT_EQ(bench_->counter(Counter::kFlowsCreated), kCapacity);
  EXPECT_EQ(bench_->counter(Counter::kDropTableFull), 0u);
  EXPECT_EQ(bench_->stats().services[1].packets_in, 4u);
  EXPECT_EQ(bench_->stats().services[1].packets_out, 3u);
}

TEST_F(FullTable, LeavesEstablishedFlowsAlone) {
  open();
  fill();
  for (uint16_t port = 20000; port < 20500; port++) {
    bench_->client_sends(Frame().from(client(port)).to(kVip).syn().seq(1));
    if (port % 25 == 0) bench_->turn();
  }
  bench_->turns(3);
  EXPECT_EQ(bench_->to_backends().size(), 500u);
  for (uint16_t i = 0; i < kCapacity; i++) {
    const Endpoint from = client(static_cast<uint16_t>(1000 + i));
    const auto up = bench_->client_to_backend(Frame().from(from).to(kVip).seq(1001).ack(5001).payload("NOOP\r\n"));
    ASSERT_TRUE(up.has_value());
    EXPECT_EQ(up->destination, held_[i]);
    ASSERT_TRUE(bench_->backend_to_client(Frame().from(held_[i]).to(from).seq(5001).ack(1007).payload("250 ok\r\n")));
  }
  EXPECT_EQ(bench_->counter(Counter::kFlowsEstablishedNow), kCapacity);
  EXPECT_EQ(bench_->counter(Counter::kFlowsStateless), 500u);
}

TEST_F(FullTable, AdoptsAConnectionOnceThereIsRoom) {
  open();
  fill();
  const auto backend = bench_->establish(client(50000), kVip);
  ASSERT_TRUE(backend.has_value());
  end(1000, held_[0]);
  const auto up = bench_->client_to_backend(Frame().from(client(50000)).to(kVip).seq(1001).ack(5001).payload("x"));
  ASSERT_TRUE(up.has_value());
  EXPECT_EQ(up->destination, *backend);
  EXPECT_EQ(bench_->counter(Counter::kFlowsAdopted), 1u);
  EXPECT_EQ(bench_->worker().flows().available(), 0u);
}

TEST_F(FullTable, PlacesByTheHashWhateverTheScheduler) {
  open();
  fill();
  for (const auto scheduler : {channel::Scheduler::kWrr, channel::Scheduler::kLeastConn, channel::Scheduler::kSource}) {
    SCOPED_TRACE(static_cast<int>(scheduler));
    channel::PutService message{};
    message.scheduler = scheduler;
    bench_->put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1}, message);
    for (uint16_t port = 30000; port < 30020; port++) {
      const auto syn = bench_->client_to_backend(Frame().from(client(port)).to(kVip).syn().seq(1));
      const auto again = bench_->client_to_backend(Frame().from(client(port)).to(kVip).syn().seq(1));
      const auto ack = bench_->client_to_backend(Frame().from(client(port)).to(kVip).seq(2).ack(9));
      ASSERT_TRUE(syn && again && ack);
      EXPECT_EQ(syn->destination, again->destination);
      EXPECT_EQ(syn->destination, ack->destination);
    }
  }
}

TEST_F(FullTable, NeverMixesUpTwoConnectionsOfOneClientEndpoint) {
  open();
  bench_->put_service(5, endpoint("192.0.2.29", 25), {0, 1, 2});
  fill();
  // The same endpoint's second connection, to a service that leads to the same backends: they are not its own.
  bench_->client_sends(Frame().from(client(1000)).to(endpoint("192.0.2.29", 25)).syn().seq(1));
  bench_->turn();
  EXPECT_TRUE(bench_->to_backends().empty());
  const auto answers = bench_->to_clients();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].flags, kTcpRst | kTcpAck);
}

TEST_F(FullTable, RefusesWhatRepliesOrHeadersWouldNotSurvive) {
  open();
  fill();
  struct Case {
    const char* description;
    Endpoint vip;
    uint16_t service;
  };
  for (const Case& c : {Case{"several services lead to the backend", kOtherVip, 2},
                        Case{"a PROXY header has to be injected", kProxyVip, 3}}) {
    SCOPED_TRACE(c.description);
    bench_->client_sends(Frame().from(client(50000)).to(c.vip).syn().seq(77));
    bench_->turn();
    const auto answers = bench_->to_clients();
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].flags, kTcpRst | kTcpAck);
    EXPECT_EQ(answers[0].ack, 78u);
    EXPECT_EQ(answers[0].source, c.vip);
    EXPECT_EQ(bench_->stats().services[c.service].flows_refused, 1u);
  }
  EXPECT_EQ(bench_->counter(Counter::kDropTableFull), 2u);
  EXPECT_EQ(bench_->counter(Counter::kFlowsStateless), 0u);
}

TEST_F(FullTable, AnswersAsConfigured) {
  struct Case {
    OnTableFull rule;
    size_t resets;
  };
  for (const Case& c : {Case{OnTableFull::kReset, 1}, Case{OnTableFull::kSilence, 0}}) {
    SCOPED_TRACE(static_cast<int>(c.rule));
    held_.clear();
    open({.on_table_full = c.rule});
    fill();
    bench_->client_sends(Frame().from(client(50000)).to(kVip).syn().seq(77));
    bench_->turn();
    const auto answers = bench_->to_clients();
    ASSERT_EQ(answers.size(), c.resets);
    for (const ReadFrame& reset : answers) {
      EXPECT_EQ(reset.flags, kTcpRst | kTcpAck);
      EXPECT_EQ(reset.ack, 78u);
    }
    EXPECT_TRUE(bench_->to_backends().empty());
    EXPECT_EQ(bench_->counter(Counter::kDropTableFull), 1u);
    EXPECT_EQ(bench_->counter(Counter::kResetsToClient), c.resets);
    EXPECT_EQ(bench_->stats().services[0].flows_refused, 1u);
    EXPECT_EQ(bench_->counter(Counter::kFlowsStateless), 0u);
    bench_->expect_counter_law();
  }
}

TEST_F(FullTable, LeavesToTheKernelWhatBackendsSayToUs) {
  open();
  fill();
  ASSERT_TRUE(bench_->establish(client(50000), kVip).has_value());
  bench_->backend_sends(Frame().from(backend4(0)).to(kOwn).syn().seq(1).ack(2));  // a probe's answer
  bench_->backend_sends(Frame().from(endpoint("10.0.1.99", 2525)).to(client(50000)).seq(1).ack(2));
  bench_->turn();
  EXPECT_EQ(bench_->punted().size(), 1u);
  EXPECT_EQ(bench_->counter(Counter::kDropStrangers), 1u);
  EXPECT_TRUE(bench_->to_clients().empty());
}

TEST_F(FullTable, ForgetsNoReturnPathTooEarly) {
  auto paths = std::make_unique<ReturnPaths>(99);
  const Address first = client(1).address;
  paths->remember(first, {mac(1), 7, 3}, 1000);
  ASSERT_NE(paths->find(first, 1000), nullptr);
  EXPECT_EQ(paths->find(first, 1000)->vlan, 7);
  EXPECT_EQ(paths->find(first, 1000)->port, 3);
  EXPECT_NE(paths->find(first, 1000 + ReturnPaths::kLifetimeMs), nullptr);
  EXPECT_EQ(paths->find(first, 1001 + ReturnPaths::kLifetimeMs), nullptr);
  EXPECT_EQ(paths->find(client6(1).address, 1000), nullptr);
  paths->remember(first, {mac(2), 8, 4}, 2000);  // the last word counts
  EXPECT_EQ(paths->find(first, 2000)->mac, mac(2));
  // Of many clients some are displaced, never mixed up.
  constexpr uint32_t kClients = ReturnPaths::kSets * ReturnPaths::kWays;
  for (uint32_t n = 0; n < kClients; n++) {
    paths->remember(Address::v4(Be32::of(0x0a000000 + n)), {mac(0), static_cast<uint16_t>(n & 0xfff), 1}, 3000 + n);
  }
  uint32_t known = 0;
  for (uint32_t n = 0; n < kClients; n++) {
    const ReturnPath* path = paths->find(Address::v4(Be32::of(0x0a000000 + n)), 3000 + kClients);
    if (path == nullptr) continue;
    EXPECT_EQ(path->vlan, n & 0xfff);
    known++;
  }
  EXPECT_GT(known, kClients / 2);
  EXPECT_LT(known, kClients);
  open();  // the fixture wants one
}

class IdleExpiry : public FullTable {};

TEST_F(IdleExpiry, TellsBothEndsWhenConfigured) {
  open({.on_idle_expiry = OnIdleExpiry::kReset});
  const auto backend = bench_->establish(client(1000), kVip);
  ASSERT_TRUE(backend.has_value());
  ASSERT_TRUE(bench_->client_to_backend(Frame().from(client(1000)).to(kVip).seq(1001).ack(5001).payload("EHLO x\r\n")));
  ASSERT_TRUE(bench_->client_to_backend(Frame().from(client(2000)).to(kVip).syn().seq(1)));  // never finishes
  for (int i = 0; i < 76; i++) bench_->turn(100'000);
  const auto to_client = bench_->to_clients();
  ASSERT_EQ(to_client.size(), 1u);
  EXPECT_EQ(to_client[0].flags, kTcpRst | kTcpAck);
  EXPECT_EQ(to_client[0].source, kVip);
  EXPECT_EQ(to_client[0].destination, client(1000));
  EXPECT_EQ(to_client[0].seq, 5001u);
  EXPECT_EQ(to_client[0].ack, 1009u);
  const auto to_backend = bench_->to_backends();
  ASSERT_EQ(to_backend.size(), 1u);
  EXPECT_EQ(to_backend[0].source, client(1000));
  EXPECT_EQ(to_backend[0].destination, *backend);
  EXPECT_EQ(to_backend[0].seq, 1009u);
  EXPECT_EQ(bench_->counter(Counter::kFlowsCutIdle), 1u);
  EXPECT_EQ(bench_->counter(Counter::kFlowsExpired), 1u);  // the unfinished one, in silence
  EXPECT_EQ(bench_->counter(Counter::kResetsToClient), 1u);
  EXPECT_EQ(bench_->counter(Counter::kResetsToBackend), 1u);
  EXPECT_EQ(bench_->worker().flows().size(), 0u);
}

TEST_F(IdleExpiry, IsSilentByDefault) {
  open();
  ASSERT_TRUE(bench_->establish(client(1000), kVip).has_value());
  for (int i = 0; i < 76; i++) bench_->turn(100'000);
  EXPECT_TRUE(bench_->to_clients().empty());
  EXPECT_TRUE(bench_->to_backends().empty());
  EXPECT_EQ(bench_->counter(Counter::kFlowsExpired), 1u);
  EXPECT_EQ(bench_->counter(Counter::kFlowsCutIdle), 0u);
}

class NotReady : public ::testing::Test {};

TEST_F(NotReady, HoldsBackWhatIsForAVipUntilTheFirstSnapshotEnds) {
  WorkerBench bench({.snapshot = false, .expected_vips = {kVip, kVip6}, .strangers = Strangers::kKernel});
  const auto syns = [&] {
    bench.client_sends(Frame().from(client(1)).to(kVip).syn().seq(1));
    bench.client_sends(Frame().from(client6(1)).to(kVip6).syn().seq(1));
    bench.client_sends(Frame().from(client(2)).to(kVip).seq(5).ack(6).payload("x"));  // of a session from before
    bench.client_sends(Frame().from(client(3)).to(endpoint("192.0.2.25", 22)).syn().seq(1));
    bench.client_sends(Frame().from(client(3)).to(kOtherVip).syn().seq(1));
    bench.turn();
  };
  syns();
  EXPECT_EQ(bench.counter(Counter::kDropNotReady), 3u);
  EXPECT_EQ(bench.punted().size(), 2u);
  // Neither does a service refuse while its backends are still on their way.
  bench.command(channel::CommandType::kSnapshotBegin);
  bench.put_service(0, kVip, {0});
  syns();
  EXPECT_EQ(bench.counter(Counter::kDropNotReady), 6u);
  bench.put_backend(0, backend4(0));
  bench.command(channel::CommandType::kSnapshotEnd);
  syns();
  EXPECT_EQ(bench.counter(Counter::kDropNotReady), 6u);
  EXPECT_EQ(bench.to_backends().size(), 2u);  // opened, and adopted
  EXPECT_EQ(bench.punted().size(), 2u + 3u);  // the v6 VIP is none of ours after all
  EXPECT_TRUE(bench.to_clients().empty());
  bench.expect_counter_law();
}

TEST_F(NotReady, AnUnexpectedEndOfASnapshotChangesNothing) {
  WorkerBench bench({.snapshot = false, .expected_vips = {kVip}});
  bench.command(channel::CommandType::kSnapshotEnd);
  bench.client_sends(Frame().from(client(1)).to(kVip).syn().seq(1));
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kDropNotReady), 1u);
}

TEST_F(NotReady, ASuccessorKeepsNewConnectionsWaitingButNoOldOne) {
  WorkerBench first;
  first.put_backend(0, backend4(0));
  first.put_service(0, kVip, {0});
  ASSERT_TRUE(first.establish(client(1), kVip).has_value());
  WorkerBench second({.flow_memory = first.flow_memory(), .snapshot = false});
  EXPECT_TRUE(second.client_to_backend(Frame().from(client(1)).to(kVip).seq(1001).ack(5001)).has_value());
  second.client_sends(Frame().from(client(2)).to(kVip).syn().seq(1));
  second.turn();
  EXPECT_TRUE(second.to_clients().empty());
  EXPECT_EQ(second.counter(Counter::kDropNotReady), 1u);
  second.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
