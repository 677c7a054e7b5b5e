// SPDX-License-Identifier: Apache-2.0
//
// fullnat's ports: how they are dealt out, when there are none, and when they are used again.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/flow/local_ports.h"
#include "tests/dataplane/support/fullnat_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

TEST(LocalPorts, AreDealtOutToTheWorkersWithoutRestOrOverlap) {
  for (const uint32_t workers : {1u, 2u, 3u, 7u, 64u}) {
    std::set<uint16_t> seen;
    for (uint32_t worker = 0; worker < workers; worker++) {
      for (uint32_t n = 0; n < local_ports_of(worker, workers); n++) {
        const Be16 port = local_port(n, worker, workers);
        EXPECT_TRUE(is_local_port(port));
        EXPECT_EQ(local_port_owner(port, workers), worker);
        seen.insert(port.host());
      }
    }
    EXPECT_EQ(seen.size(), kLocalPorts) << workers;
  }
  EXPECT_FALSE(is_local_port(Be16::of(1023)));
  EXPECT_FALSE(is_local_port(Be16::of(32768)));
}

TEST_F(FullnatTest, PortsAreFreedWithTheirFlowsAndTheIndexWithThem) {
  // Far more flows than the table holds at once, one after another: neither ports nor places in the index leak.
  const Family& f = kFamilies[0];
  for (uint32_t n = 0; n < 20'000; n++) {
    Endpoint client = f.client;
    client.port = Be16::of(static_cast<uint16_t>(1024 + n % 60'000));
    ASSERT_TRUE(establish(client, f.vip).has_value()) << n;
    bench_.client_to_backend(Frame().from(client).to(f.vip).seq(1001).ack(5001).rst());
    bench_.turn(20);
  }
  for (int i = 0; i < 200; i++) bench_.turn(200);
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
  EXPECT_EQ(bench_.counter(Counter::kDropTableFull), 0u);
  EXPECT_EQ(bench_.counter(Counter::kDropNoLocalPort), 0u);
}

Endpoint nth_client(uint32_t n) {
  return endpoint("198.51.100." + std::to_string(1 + n / 50'000), static_cast<uint16_t>(10'000 + n % 50'000));
}

/// A bench whose local address has all but a hundredth of its ports taken by established flows to the backend.
struct FullBench : WorkerBench {
  FullBench() : WorkerBench({.flow_capacity = 1 << 17}) {}

  template <typename Establish>
  void fill(Establish establish) {
    for (uint32_t n = 0; flows.size() < kLocalPorts * 99 / 100; n++) {
      const Endpoint client = nth_client(n);
      const auto local = establish(client);
      if (local) {
        flows.emplace_back(client, *local);
        continue;
      }
      EXPECT_EQ(to_clients().size(), 1u) << "the refusal";
      if (first_refused_at == 0) first_refused_at = flows.size();
      ASSERT_LT(n, 10 * kLocalPorts);
    }
  }

  std::vector<std::pair<Endpoint, Endpoint>> flows;  // client, ours
  size_t first_refused_at = 0;
};

TEST_F(FullnatTest, NearlyAllPortsOfAnAddressAreUsedBeforeFlowsAreRefused) {
  FullBench bench;
  set_up(bench, {});
  const Family& f = kFamilies[0];
  bench.fill([&](const Endpoint& client) { return establish(bench, client, f.vip); });
  EXPECT_GT(bench.first_refused_at, kLocalPorts / 2);
  EXPECT_GT(bench.counter(Counter::kDropNoLocalPort), 0u);
  std::set<uint16_t> ports;
  for (const auto& [client, local] : bench.flows) ports.insert(local.port.host());
  EXPECT_EQ(ports.size(), bench.flows.size()) << "no two share one towards one backend";
  // Connections to another backend share them.
  bench.put_backend(5, f.other_backend);
  channel::PutService service{};
  service.forwarding = channel::Forwarding::kFullnat;
  bench.put_service(2, endpoint("192.0.2.26", 25), {5}, service);
  for (uint16_t port = 1; port <= 100; port++) {
    const Endpoint client = endpoint("203.0.113.9", port);
    const auto syn = bench.client_to_backend(Frame().from(client).to(endpoint("192.0.2.26", 25)).syn().seq(1));
    ASSERT_TRUE(syn.has_value()) << port;
    const auto answer = bench.backend_to_client(Frame().from(f.other_backend).to(syn->source).syn().seq(9).ack(2));
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->destination, client);
  }
  bench.expect_counter_law();
}

TEST_F(FullnatTest, AFloodOfHandshakesDoesNotKeepThePorts) {
  WorkerBench bench({.flow_capacity = 1 << 18});  // its ring of unfinished handshakes exceeds the range of ports
  set_up(bench, {});
  const Family& f = kFamilies[0];
  uint32_t given_up = 0;
  for (uint32_t n = 0; n < kLocalPorts + 10'000; n++) {
    bench.client_sends(Frame().from(nth_client(n)).to(f.vip).syn().seq(1000));
    bench.turn();
    const auto frames = bench.to_backends();
    ASSERT_GE(frames.size(), 1u) << n;
    EXPECT_EQ(frames.back().flags, kTcpSyn);
    if (frames.size() == 1) continue;
    given_up++;
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].flags & kTcpRst, kTcpRst) << "the backend is told that the old one is given up";
    EXPECT_EQ(frames[0].source, frames[1].source);
  }
  EXPECT_GE(given_up, 10'000u);
  EXPECT_EQ(bench.counter(Counter::kFlowsRecycledEmbryonic), given_up);
  EXPECT_EQ(bench.counter(Counter::kDropNoLocalPort), 0u);
  bench.expect_counter_law();
}

TEST_F(FullnatTest, AClosedFlowsPortRestsForAMinute) {
  FullBench bench;
  set_up(bench, {});
  const Family& f = kFamilies[0];
  bench.fill([&](const Endpoint& client) { return establish(bench, client, f.vip); });
  for (const auto& [client, local] : bench.flows) {
    bench.client_to_backend(Frame().from(client).to(f.vip).seq(1001).ack(5001).fin());
    bench.backend_to_client(Frame().from(f.backend).to(local).seq(5001).ack(1002).fin());
  }
  const uint64_t refused = bench.counter(Counter::kDropNoLocalPort);
  uint32_t refused_soon = 0;
  for (uint16_t port = 1; port <= 100; port++) {
    if (!establish(bench, endpoint("203.0.113.9", port), f.vip)) refused_soon++;
    bench.to_clients();
  }
  EXPECT_GT(refused_soon, 0u) << "what is closed but a moment is not used again";
  EXPECT_EQ(bench.counter(Counter::kDropNoLocalPort) - refused, refused_soon);
  bench.turn(61'000);
  for (uint16_t port = 1001; port <= 1100; port++) {
    EXPECT_TRUE(establish(bench, endpoint("203.0.113.9", port), f.vip).has_value()) << port;
  }
  bench.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
