// SPDX-License-Identifier: Apache-2.0
//
// How connections begin that do not begin in the ordinary way: on the remains of another, with a server that dies, with
// data on the SYN, or with the server's next word after a restart.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kClient = endpoint("198.51.100.7", 40000);
const Endpoint kBackends[] = {endpoint("10.0.1.10", 2525), endpoint("10.0.1.11", 2525)};

channel::PutService with_proxy() {
  channel::PutService message{};
  message.proxy = channel::ProxyHeader::kV2;
  return message;
}

/// One backend that only this service forwards to.
struct One : WorkerBench {
  explicit One(const BenchOptions& options = {}, const channel::PutService& service = {}) : WorkerBench(options) {
    put_sole_backend(0, kBackends[0], 0);
    put_service(0, kVip, {0}, service);
    turn();
  }
};

struct Two : WorkerBench {
  Two() {
    put_backend(0, kBackends[0]);
    put_backend(1, kBackends[1]);
    put_service(0, kVip, {0, 1});
    turn();
  }
  uint16_t id_of(const Endpoint& backend) const { return backend == kBackends[0] ? 0 : 1; }
};

TEST(HalfClosed, NewSynFromItsPortIsPlacedAnewAndNotOnADrainedBackend) {
  Two bench;
  const auto old = bench.establish(kClient, kVip);
  ASSERT_TRUE(old);
  ASSERT_TRUE(bench.backend_to_client(Frame().from(*old).to(kClient).seq(5001).ack(1001).fin()));  // 221
  const auto other = static_cast<uint16_t>(1 - bench.id_of(*old));
  bench.put_service(0, kVip, {other});  // the old one is drained
  bench.turn(5000);
  const auto syn = bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(900'000));
  ASSERT_TRUE(syn);
  EXPECT_EQ(syn->destination, kBackends[other]);
  EXPECT_EQ(bench.counter(Counter::kFlowsCreated), 2u);
  EXPECT_TRUE(bench.backend_to_client(Frame().from(kBackends[other]).to(kClient).syn().seq(7000).ack(900'001)));
}

TEST(HalfClosed, OldSynAndOneThatComesAtOnceAreOfTheOldConnection) {
  Two bench;
  const auto old = bench.establish(kClient, kVip);
  ASSERT_TRUE(old);
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).fin()));
  bench.turn(5000);
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000))) << "a late copy of its SYN";
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1002).ack(5001))) << "it is still at work";
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(50'000))) << "a guess while it closes";
  EXPECT_EQ(bench.counter(Counter::kFlowsCreated), 1u);
  const auto word =
      bench.backend_to_client(Frame().from(*old).to(kClient).seq(5001).ack(1002).psh().payload("250\r\n"));
  EXPECT_TRUE(word);
}

TEST(Handshake, WithABackendThatDiesIsForgottenAndItsNextSynPlacedAnew) {
  Two bench;
  const auto syn = bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000));
  ASSERT_TRUE(syn);
  const uint16_t id = bench.id_of(syn->destination);
  bench.put_backend(id, syn->destination, channel::kBackendReachable | channel::kBackendDown);
  bench.turns(3);
  EXPECT_TRUE(bench.to_clients().empty());
  EXPECT_TRUE(bench.to_backends().empty());
  EXPECT_EQ(bench.counter(Counter::kFlowsEmbryonicNow), 0u);
  const auto again = bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->destination, kBackends[1 - id]);
}

TEST(FastOpen, DataThatIsAcknowledgedWithTheSynEstablishes) {
  One bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000).payload("EHLO a\r\n")));
  ASSERT_TRUE(bench.backend_to_client(Frame().from(kBackends[0]).to(kClient).syn().seq(5000).ack(1009)));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1009).ack(5001)));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
  bench.turn(61'000);
  for (int i = 0; i < 20; i++) bench.turn(200);
  EXPECT_EQ(bench.worker().flows().size(), 1u) << "it has an open session's timer";
}

TEST(FastOpen, DataThatIsNotAcknowledgedIsSentAgainAndEstablishes) {
  One bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000).payload("EHLO a\r\n")));
  ASSERT_TRUE(bench.backend_to_client(Frame().from(kBackends[0]).to(kClient).syn().seq(5000).ack(1001)));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("EHLO a\r\n")));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
}

TEST(FastOpen, CookieAloneChangesNothing) {
  One bench;
  const Bytes cookie{34, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  const auto syn = bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000).tcp_options(cookie));
  ASSERT_TRUE(syn);
  ASSERT_TRUE(bench.backend_to_client(Frame().from(kBackends[0]).to(kClient).syn().seq(5000).ack(1001)));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
}

TEST(FastOpen, SynAckOfMoreThanWasSentIsNotBelieved) {
  One bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000).payload("EHLO a\r\n")));
  for (const uint32_t ack : {1000U, 1010U, 5U}) {
    bench.backend_sends(Frame().from(kBackends[0]).to(kClient).syn().seq(5000).ack(ack));
    bench.turn();
    bench.to_clients();
  }
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5001)));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 0u);
}

TEST(FastOpen, GreetingBeforeTheClientsAckIsSeen) {
  One bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000)));
  ASSERT_TRUE(bench.backend_to_client(Frame().from(kBackends[0]).to(kClient).syn().seq(5000).ack(1001)));
  ASSERT_TRUE(bench.backend_to_client(
      Frame().from(kBackends[0]).to(kClient).seq(5001).ack(1001).psh().payload("220 mta1 ESMTP\r\n")));
  ASSERT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5017)));
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
  EXPECT_EQ(bench.stats().service_smtp[0][channel::SmtpCounter::kGreeting2xx], 1u);
}

TEST(FastOpen, ProxyServicesTakeOptionAndDataOut) {
  One bench({}, with_proxy());
  const Bytes cookie{34, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  const auto syn =
      bench.client_to_backend(Frame().from(kClient).to(kVip).syn().seq(1000).tcp_options(cookie).payload("EHLO a\r\n"));
  ASSERT_TRUE(syn) << "one frame with sound checksums";
  EXPECT_TRUE(syn->payload.empty());
  EXPECT_EQ(std::ranges::count(syn->tcp_options, 34), 0);
  ASSERT_TRUE(bench.backend_to_client(Frame().from(kBackends[0]).to(kClient).syn().seq(5000).ack(1001)));
  bench.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5001).psh().payload("EHLO a\r\n"));
  bench.turn();
  const auto sent = bench.to_backends();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].seq, 1001u);
  EXPECT_EQ(sent[0].payload.size(), 28u) << "the PROXY header comes first";
  EXPECT_EQ(sent[1].seq, 1029u);
}

TEST(ServerSpeaksNext, ItsSessionIsAdoptedByTheRouterLastHeard) {
  One bench;
  const Endpoint other = endpoint("198.51.100.99", 1234);
  const MacAddress router{{2, 9, 9, 9, 9, 9}};
  ASSERT_TRUE(bench.client_to_backend(Frame().from(other).to(kVip).from_mac(router).syn().seq(1)));
  const auto word =
      bench.backend_to_client(Frame().from(kBackends[0]).to(kClient).seq(5001).ack(1001).psh().payload("250 ok\r\n"));
  ASSERT_TRUE(word);
  EXPECT_EQ(word->source, kVip);
  EXPECT_EQ(word->destination, kClient);
  EXPECT_EQ(word->destination_mac, router);
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablishedNow), 1u);
  EXPECT_TRUE(bench.client_to_backend(Frame().from(kClient).to(kVip).seq(1001).ack(5009).psh().payload("QUIT\r\n")));
  EXPECT_EQ(bench.counter(Counter::kPunted), 0u);
}

TEST(ServerSpeaksNext, ItsProxiedSessionIsAdoptedWithItsShift) {
  One bench({}, with_proxy());
  ASSERT_TRUE(bench.client_to_backend(Frame().from(endpoint("198.51.100.99", 1234)).to(kVip).syn().seq(1)));
  const auto word = bench.backend_to_client(
      Frame().from(kBackends[0]).to(kClient).seq(5001).ack(1001 + 28).psh().payload("250 ok\r\n"));
  ASSERT_TRUE(word);
  EXPECT_EQ(word->ack, 1001u);
}

TEST(ServerSpeaksNext, NothingIsAdoptedWithoutAWayBack) {
  One bench;
  bench.backend_sends(Frame().from(kBackends[0]).to(kClient).seq(5001).ack(1001).psh().payload("250 ok\r\n"));
  bench.turn();
  EXPECT_TRUE(bench.to_clients().empty());
  EXPECT_EQ(bench.counter(Counter::kDropNoFlow), 1u);
  EXPECT_EQ(bench.counter(Counter::kPunted), 0u) << "the kernel would pass it on from an address nobody knows";
}

TEST(ServerSpeaksNext, OurProbesAndConnectionsPastTheServiceAreNotAdopted) {
  One bench;
  ASSERT_TRUE(bench.client_to_backend(Frame().from(endpoint("198.51.100.99", 1234)).to(kVip).syn().seq(1)));
  const Endpoint probe = endpoint("10.0.1.1", 50000);
  bench.put_local(0, probe.address);
  bench.turn();
  bench.backend_sends(Frame().from(kBackends[0]).to(probe).seq(5001).ack(1001).psh().payload("220 hi\r\n"));
  const Endpoint monitor = endpoint("203.0.113.5", 50001);
  bench.backend_sends(Frame().from(kBackends[0]).to(monitor).syn().seq(5000).ack(1001));
  bench.backend_sends(Frame().from(kBackends[0]).to(monitor).seq(5001).ack(1001).psh().payload("220 hi\r\n"));
  bench.turn();
  EXPECT_EQ(bench.counter(Counter::kPunted), 3u);
  EXPECT_EQ(bench.worker().flows().size(), 1u);
}

}  // namespace
}  // namespace sluice::testing
