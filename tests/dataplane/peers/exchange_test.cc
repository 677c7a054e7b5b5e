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

#include "dataplane/base/clock.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/flow/local_ports.h"
#include "tests/dataplane/support/exchange_node.h"

namespace sluice::testing {
namespace {

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

uint64_t now_in_ms() {
  return monotonic_ns() / 1'000'000;
}

TEST(Exchange, WhoBeginsOrHearsOfANodeForTheFirstTimeExpectsToBeToldMore) {
  constexpr uint64_t kAwaitMs = Exchange::kAwaitS * 1000;
  const Pair at;
  const uint64_t before_ms = now_in_ms();
  Node a(at.here, at.there);
  const uint64_t begun_ms = now_in_ms();
  EXPECT_TRUE(a.table.expects_more(before_ms + kAwaitMs - 1));
  EXPECT_FALSE(a.table.expects_more(begun_ms + kAwaitMs));
  while (now_in_ms() == begun_ms) a.exchange->turn(1);
  uint64_t heard_ms = 0;
  {
    Node b(at.there, at.here);
    turn_until(a, b, [&] { return a.table.expects_more(begun_ms + kAwaitMs); });
    heard_ms = now_in_ms();
    EXPECT_FALSE(a.table.expects_more(heard_ms + kAwaitMs));
  }
  while (now_in_ms() == heard_ms) a.exchange->turn(1);
  Node again(at.there, at.here);
  turn_until(a, again, [&] { return a.status->peer[0].forgotten_after_restart == 1; });
  EXPECT_FALSE(a.table.expects_more(heard_ms + kAwaitMs)) << "we know what there was";
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
    const TellingWorker with_flow = node.worker();
    const TellingWorker without = Rings().with(FlowNames(reinterpret_cast<const std::byte*>(nothing.data()), 0));
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
