// SPDX-License-Identifier: Apache-2.0
//
// Exchanges of two nodes over the loopback interface, with the flows of a worker on a bench.
#include "dataplane/peers/exchange.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "dataplane/base/setup_error.h"
#include "dataplane/flow/local_ports.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);
const std::vector<uint8_t> kSecret(32, 7);

Endpoint client(uint16_t port) {
  return endpoint("198.51.100.7", port);
}

rte_ring* tell_ring() {
  start_eal();
  static int next = 0;
  const std::string name = "exchange" + std::to_string(next++);
  return rte_ring_create_elem(name.c_str(), sizeof(FlowIndex), kTellRingEntries, SOCKET_ID_ANY,
                              RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/// A port of the loopback interface that nobody has.
Endpoint free_endpoint() {
  const Descriptor probe(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof at;
  EXPECT_EQ(bind(probe.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  getsockname(probe.get(), reinterpret_cast<sockaddr*>(&at), &bytes);
  return {endpoint("127.0.0.1", 0).address, Be16{at.sin_port}};
}

/// A node: a worker, its ring, and what the other has told.
struct Node {
  static constexpr uint64_t kFlows = 64;

  Node(const Endpoint& here, const Endpoint& there, const std::vector<uint8_t>& secret = kSecret,
       std::byte* flow_memory = nullptr)
      : bench({.flow_memory = flow_memory, .tells = tells}) {
    std::memset(memory.get(), 0, ToldTable::bytes_for({kFlows}));
    bench.put_backend(0, kBackend);
    bench.put_service(0, kVip, {0});
    bench.turn();
    exchange = std::make_unique<Exchange>(
        ExchangeOptions{.node = "edge", .listen = here, .to = {there}, .secret = secret},
        std::vector{TellingWorker{FlowNames(bench.flow_memory(), 4096), tells}}, table, *status);
  }

  std::unique_ptr<std::byte, decltype(&free)> memory{
      static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for({kFlows}))), &free};
  ToldTable table{memory.get(), {kFlows}, 1};
  std::unique_ptr<channel::PeersStatus> status = std::make_unique<channel::PeersStatus>();
  rte_ring* tells = tell_ring();
  WorkerBench bench;
  std::unique_ptr<Exchange> exchange;
};

struct Pair {
  Endpoint here = free_endpoint();
  Endpoint there = free_endpoint();
};

/// Turns both until the condition holds.
void turn_until(Node& a, Node& b, const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000 && !condition(); i++) {
    a.exchange->turn(1);
    b.exchange->turn(1);
  }
  EXPECT_TRUE(condition());
}

TEST(Exchange, TellsOfFlowsAndTheirEnds) {
  const Pair at;
  Node a(at.here, at.there), b(at.there, at.here);
  turn_until(a, b, [&] { return a.status->peer[0].datagrams > 1 && b.status->peer[0].datagrams > 1; });
  EXPECT_STREQ(b.status->peer[0].node, "edge");

  a.bench.client_to_backend(Frame().from(client(1)).to(kVip).syn().seq(1));
  turn_until(a, b, [&] { return b.table.from_client(client(1), kVip).has_value(); });
  EXPECT_EQ(b.table.from_client(client(1), kVip)->stage, FlowStage::kPlaced);
  ASSERT_TRUE(a.bench.establish(client(2), kVip));
  turn_until(a, b, [&] {
    const auto told = b.table.from_client(client(2), kVip);
    return told && told->stage == FlowStage::kOpen && told->backend == kBackend;
  });
  EXPECT_TRUE(b.table.from_backend(client(2), kBackend));

  a.bench.client_to_backend(Frame().from(client(2)).to(kVip).rst().seq(1001));
  turn_until(a, b, [&] { return !b.table.from_client(client(2), kVip); });
  EXPECT_EQ(a.table.size(), 0u);
  EXPECT_EQ(b.status->ends_told + b.status->flows_told, 0u);
}

TEST(Exchange, ANodeThatIsNewIsToldOfAllFlows) {
  const Pair at;
  Node a(at.here, at.there);
  for (uint16_t port = 1; port <= 20; port++) ASSERT_TRUE(a.bench.establish(client(port), kVip));
  for (int i = 0; i < 10; i++) a.exchange->turn(0);  // nobody hears it
  {
    Node b(at.there, at.here);
    turn_until(a, b, [&] { return b.table.size() == 20; });
  }
  Node again(at.there, at.here);
  turn_until(a, again, [&] { return again.table.size() == 20; });
  EXPECT_EQ(a.status->peer[0].forgotten_after_restart, 1u);
}

TEST(Exchange, DropsWhatIsForgedReplayedOrOfStrangers) {
  const Pair at;
  Node b(at.there, at.here);
  {
    Node forger(at.here, at.there, std::vector<uint8_t>(32, 9));
    ASSERT_TRUE(forger.bench.establish(client(1), kVip));
    turn_until(forger, b, [&] { return b.status->drop_forged > 0; });
  }
  const Endpoint elsewhere = free_endpoint();
  {
    Node stranger(elsewhere, at.there);
    turn_until(stranger, b, [&] { return b.status->drop_stranger > 0; });
  }
  EXPECT_EQ(b.status->peer[0].datagrams, 0u);
  EXPECT_EQ(b.status->peer[0].last_heard_ms, 0u);
  EXPECT_EQ(b.table.size(), 0u);
  Node a(at.here, at.there);
  ASSERT_TRUE(a.bench.establish(client(1), kVip));
  turn_until(a, b, [&] { return b.table.size() == 1; });
}

TEST(Exchange, TellsFromWhichEndpointFullnatSpeaks) {
  const Pair at;
  Node a(at.here, at.there), b(at.there, at.here);
  channel::PutService fullnat{};
  fullnat.forwarding = channel::Forwarding::kFullnat;
  const Endpoint vip = endpoint("192.0.2.26", 25);
  a.bench.put_local(0, address("10.0.1.2"));
  a.bench.put_service(1, vip, {0}, fullnat);
  a.bench.turn();
  turn_until(a, b, [&] { return a.status->peer[0].datagrams > 1 && b.status->peer[0].datagrams > 1; });
  const auto syn = a.bench.client_to_backend(Frame().from(client(1)).to(vip).syn().seq(1));
  ASSERT_TRUE(syn);
  turn_until(a, b, [&] { return b.table.from_client(client(1), vip).has_value(); });
  EXPECT_EQ(b.table.from_client(client(1), vip)->local, syn->source);
  EXPECT_EQ(b.table.from_local(syn->source, kBackend)->client, client(1));
}

const Endpoint kFullnatVip = endpoint("192.0.2.26", 25);

/// A fullnat flow of one of two workers, of which the other may have the port that its replies are to.
struct AtOneOfTwo {
  explicit AtOneOfTwo(bool astray) {
    channel::PutService fullnat{};
    fullnat.forwarding = channel::Forwarding::kFullnat;
    node.bench.put_local(0, address("10.0.1.2"));
    node.bench.put_service(1, kFullnatVip, {0}, fullnat);
    node.bench.turn();
    const auto syn = node.bench.client_to_backend(Frame().from(client(1)).to(kFullnatVip).syn().seq(1));
    local = syn ? syn->source : Endpoint{};
    node.bench.backend_to_client(Frame().from(kBackend).to(local).syn().seq(5).ack(2));
    node.bench.client_to_backend(Frame().from(client(1)).to(kFullnatVip).seq(2).ack(6));
    const uint32_t of_port = local_port_owner(local.port, 2);
    worker = astray ? 1 - of_port : of_port;
    const TellingWorker with_flow{FlowNames(node.bench.flow_memory(), 4096), node.tells};
    const TellingWorker without{FlowNames(reinterpret_cast<const std::byte*>(nothing.data()), 0), tell_ring()};
    exchange.emplace(ExchangeOptions{.node = "edge", .listen = free_endpoint(), .to = {at.there}, .secret = kSecret},
                     worker == 0 ? std::vector{with_flow, without} : std::vector{without, with_flow}, node.table,
                     *node.status);
  }

  const Pair at;
  Node node{at.here, at.there};
  alignas(64) std::array<uint8_t, sizeof(FlowMemoryHeader)> nothing{};
  Endpoint local;
  uint32_t worker = 0;
  std::optional<Exchange> exchange;
};

TEST(Exchange, KeepsWhichWorkerHasAFlowWhoseRepliesComeToAnother) {
  AtOneOfTwo made(true);
  made.exchange->turn(0);
  EXPECT_EQ(made.node.table.worker_of(made.local, kBackend), made.worker);
  ToldFlow by_peer = *made.node.table.from_local(made.local, kBackend);
  made.node.table.put(by_peer, 0, 2);
  EXPECT_EQ(made.node.table.worker_of(made.local, kBackend), made.worker) << "what a peer tells does not change it";
  made.node.bench.client_to_backend(Frame().from(client(1)).to(kFullnatVip).rst().seq(2));
  made.exchange->turn(0);
  EXPECT_EQ(made.node.table.size(), 0u);
}

TEST(Exchange, KeepsNoFlowOfItsOwnThatItsRepliesFind) {
  AtOneOfTwo made(false);
  made.exchange->turn(0);
  EXPECT_EQ(made.node.table.size(), 0u);
  EXPECT_EQ(made.node.table.worker_of(made.local, kBackend), ToldTable::kNoWorker);
}

TEST(Exchange, AFlowThatWentOnHereAndEndedIsNotKeptForTheOtherNode) {
  const Pair at;
  Node b(at.there, at.here);
  ToldFlow of_other{
      .client = client(1), .vip = kVip, .backend = kBackend, .local = {}, .stage = FlowStage::kOpen, .splice = {}};
  b.table.put(of_other, 0, 1);
  ASSERT_TRUE(b.bench.establish(client(1), kVip));
  b.exchange->turn(0);
  EXPECT_TRUE(b.table.from_client(client(1), kVip));
  b.bench.client_to_backend(Frame().from(client(1)).to(kVip).rst().seq(1001));
  b.exchange->turn(0);
  EXPECT_FALSE(b.table.from_client(client(1), kVip));
}

TEST(Exchange, ANodeThatBeginsAnewHearsWhatItHasTold) {
  const Pair at;
  Node b(at.there, at.here);
  {
    Node a(at.here, at.there);
    for (uint16_t port = 1; port <= 20; port++) ASSERT_TRUE(a.bench.establish(client(port), kVip));
    turn_until(a, b, [&] {
      uint32_t open = 0;
      for (uint16_t port = 1; port <= 20; port++) {
        const auto told = b.table.from_client(client(port), kVip);
        open += told && told->stage == FlowStage::kOpen ? 1 : 0;
      }
      return open == 20;
    });
  }
  Node again(at.here, at.there);
  turn_until(again, b, [&] { return again.table.size() == 20; });
  EXPECT_EQ(again.table.from_client(client(7), kVip)->backend, kBackend);
  EXPECT_EQ(b.table.size(), 20u);
}

TEST(Exchange, SaysWhyItCannotListen) {
  try {
    Node node(endpoint("192.0.2.77", 2526), free_endpoint());
    FAIL();
  } catch (const SetupError& error) {
    EXPECT_STREQ(error.what(), "fleet.peers.listen: cannot be used: Cannot assign requested address");
  }
}

}  // namespace
}  // namespace sluice::testing
