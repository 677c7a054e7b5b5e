// SPDX-License-Identifier: Apache-2.0
//
// SYN cookies in a backend's place where not all goes well: clients that are impatient, leave or lie, backends that
// refuse or are silent, restarts in the middle, and a flood.
#include <random>

#include "dataplane/worker/syn_proxy.h"
#include "tests/dataplane/support/syn_proxy_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint8_t kRst = kTcpRst, kAck = kTcpAck;
constexpr uint64_t kFirstWaitMs = 1000, kSecondWaitMs = 2000;

class SynProxyTrouble : public SynProxyTest {
 protected:
  /// A client that has acknowledged, and whose backend has been asked.
  Session waiting(const Endpoint& who = kClient) {
    Session out{.client = who, .vip = kVip, .backend = {}, .client_at_backend = {}};
    EXPECT_TRUE(ack(out));
    return out;
  }
  static Frame refusal(const Session& session) { return session.down(0, kIsn + 1).rst(); }
};

TEST_F(SynProxyTrouble, NothingOfAClientPassesBeforeTheBackendIsThere) {
  const Session session = waiting();
  const uint32_t next = session.cookie + 1;
  for (const Frame& frame :
       {session.up(kIsn + 1, next), session.up(kIsn + 1, next).payload("EHLO x\r\n"), session.up(kIsn + 1, next).fin(),
        from(kClient).syn().seq(kIsn), from(kClient).seq(kIsn + 7).rst()}) {
    const Came came = client(frame);
    EXPECT_TRUE(came.to_backends.empty());
  }
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  EXPECT_EQ(count(Counter::kDropSynProxyPending), 5u);
  EXPECT_EQ(syn_ack(session).to_clients.size(), 1u);
}

TEST_F(SynProxyTrouble, AClientThatLeavesTakesTheBackendWithIt) {
  waiting();
  const Came came = client(from(kClient).seq(kIsn + 1).rst());
  ASSERT_EQ(came.to_backends.size(), 1u);
  EXPECT_EQ(came.to_backends[0].flags & kRst, kRst);
  EXPECT_EQ(came.to_backends[0].seq, kIsn + 1);
  turns();
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
  EXPECT_TRUE(after_turns(10'000).to_backends.empty()) << "nobody is asked for it any more";
}

TEST_F(SynProxyTrouble, OtherServersAnswersAreNotBelieved) {
  const Session session = waiting();
  for (const Frame& frame : {session.down(kServerIsn, kIsn + 2).syn(), session.down(kServerIsn, kIsn).syn(),
                             session.down(kServerIsn, kIsn + 1), session.down(0, kIsn + 2).rst()}) {
    EXPECT_TRUE(backend(frame).to_clients.empty());
  }
  EXPECT_EQ(count(Counter::kSegmentsNotBelieved), 4u);
  EXPECT_EQ(syn_ack(session).to_clients.size(), 1u);
}

TEST_F(SynProxyTrouble, AnAcknowledgementThatWasLostIsSentAgain) {
  const Session session = open();
  const Came came = syn_ack(session);
  EXPECT_TRUE(came.to_clients.empty());
  ASSERT_EQ(came.to_backends.size(), 1u);
  EXPECT_EQ(came.to_backends[0].flags, kAck);
  EXPECT_EQ(came.to_backends[0].seq, kIsn + 1);
  EXPECT_EQ(came.to_backends[0].ack, kServerIsn + 1);
}

TEST_F(SynProxyTrouble, ABackendThatRefusesIsFollowedByAnother) {
  const Session first = waiting();
  const Came came = backend(refusal(first));
  EXPECT_TRUE(came.to_clients.empty());
  ASSERT_EQ(came.to_backends.size(), 1u);
  const ReadFrame& asked = came.to_backends[0];
  EXPECT_NE(asked.destination, first.backend);
  EXPECT_EQ(asked.seq, kIsn);
  EXPECT_EQ(count(Counter::kSynProxyMoved), 1u);
  Session second = first;
  second.backend = asked.destination;
  const Came opened = syn_ack(second);
  ASSERT_EQ(opened.to_clients.size(), 1u);
  EXPECT_EQ(opened.to_clients[0].seq, first.cookie + 1);
  const auto down = backend(second.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n")).to_clients;
  ASSERT_EQ(down.size(), 1u);
  EXPECT_EQ(down[0].seq, first.cookie + 1);
}

TEST_F(SynProxyTrouble, IfBothRefuseTheClientIsTold421) {
  channel::PutService message{};
  message.on_no_backend = channel::OnNoBackend::k421;
  configure(message);
  const Session first = waiting();
  Session second = first;
  const Came moved = backend(refusal(first));
  ASSERT_EQ(moved.to_backends.size(), 1u);
  second.backend = moved.to_backends[0].destination;
  const Came came = backend(refusal(second));
  ASSERT_EQ(came.to_clients.size(), 1u);
  EXPECT_EQ(text(came.to_clients[0]), "421 4.3.2 try again later\r\n");
  EXPECT_EQ(came.to_clients[0].seq, first.cookie + 1);
  EXPECT_EQ(came.to_clients[0].ack, kIsn + 1);
  EXPECT_EQ(came.to_clients[0].flags & kTcpFin, kTcpFin);
  EXPECT_EQ(count(Counter::kSynProxyFailed), 1u);
  turns();
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
  const auto end = first.cookie + 1 + static_cast<uint32_t>(text(came.to_clients[0]).size()) + 1;
  client(first.up(kIsn + 1, end));
  const Came bye = client(first.up(kIsn + 1, end).fin());
  ASSERT_EQ(bye.to_clients.size(), 1u) << "a clean end";
  EXPECT_EQ(bye.to_clients[0].ack, kIsn + 2);
  EXPECT_EQ(count(Counter::kRefusalsAcknowledged), 1u);
}

TEST_F(SynProxyTrouble, OrReset) {
  const Session first = waiting();
  Session second = first;
  second.backend = backend(refusal(first)).to_backends.at(0).destination;
  const Came came = backend(refusal(second));
  ASSERT_EQ(came.to_clients.size(), 1u);
  EXPECT_EQ(came.to_clients[0].flags, kRst | kAck);
  EXPECT_EQ(came.to_clients[0].seq, first.cookie + 1);
}

TEST_F(SynProxyTrouble, ASilentBackendIsAskedTwiceAndThenAnother) {
  const Session first = waiting();
  EXPECT_TRUE(after_turns(kFirstWaitMs - 1).to_backends.empty());
  Came came = after_turns(1);
  ASSERT_EQ(came.to_backends.size(), 1u);
  EXPECT_EQ(came.to_backends[0].destination, first.backend);
  EXPECT_EQ(came.to_backends[0].flags, kTcpSyn);
  EXPECT_EQ(count(Counter::kSynProxyRetried), 1u);
  came = after_turns(kSecondWaitMs);
  ASSERT_EQ(came.to_backends.size(), 2u);
  EXPECT_EQ(came.to_backends[0].flags & kRst, kRst) << "it may have heard after all";
  EXPECT_EQ(came.to_backends[0].destination, first.backend);
  EXPECT_EQ(came.to_backends[1].flags, kTcpSyn);
  EXPECT_NE(came.to_backends[1].destination, first.backend);
  after_turns(kFirstWaitMs);
  came = after_turns(kSecondWaitMs);
  ASSERT_EQ(came.to_clients.size(), 1u);
  EXPECT_EQ(came.to_clients[0].flags, kRst | kAck);
  EXPECT_EQ(count(Counter::kSynProxyFailed), 1u);
}

TEST_F(SynProxyTrouble, ABackendThatDiesMeanwhileIsFollowedByAnother) {
  const Session first = waiting();
  const uint16_t id = first.backend == backend4(0) ? 0 : 1;
  bench_.put_backend(id, first.backend, channel::kBackendReachable | channel::kBackendDown);
  Came came;
  for (int i = 0; i < 20 && came.to_backends.empty(); i++) came = after_turns(100);
  ASSERT_FALSE(came.to_backends.empty());
  EXPECT_EQ(came.to_backends.back().flags, kTcpSyn);
  EXPECT_NE(came.to_backends.back().destination, first.backend);
}

TEST_F(SynProxyTrouble, WhoWaitsIsServedByTheNextProcess) {
  const Session session = waiting();
  WorkerBench heir({.flow_memory = bench_.flow_memory(), .snapshot = false});
  heir.turn(kFirstWaitMs);
  const auto asked = heir.to_backends();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].flags, kTcpSyn);
  heir.backend_sends(
      session.down(kServerIsn, kIsn + 1).syn().tcp_options(TcpTraits{.clock = kServerClock}.syn_options(1005)));
  heir.turn();
  const auto opened = heir.to_clients();
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_EQ(opened[0].seq, session.cookie + 1);
  EXPECT_EQ(heir.to_backends().size(), 1u);
}

TEST_F(SynProxyTrouble, AnotherConnectionOfTheSamePortFollowsOneThatIsOver) {
  const Session first = open();
  client(from(kClient).seq(kIsn + 1).ack(first.cookie + 1).rst());
  turns();
  const Session second = open();
  EXPECT_EQ(count(Counter::kFlowsEstablished), 2u);
  const auto down = backend(second.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n")).to_clients;
  ASSERT_EQ(down.size(), 1u);
  EXPECT_EQ(down[0].seq, second.cookie + 1);
}

TEST_F(SynProxyTrouble, WithoutABackendTheSynItselfIsRefused) {
  channel::PutService message{};
  message.syn_proxy = channel::SynProxy::kAlways;
  bench_.put_service(0, kVip, {}, message);
  turns();
  const Came came = client(from(kClient).syn().seq(kIsn));
  ASSERT_EQ(came.to_clients.size(), 1u);
  EXPECT_EQ(came.to_clients[0].flags, kRst | kAck);
}

TEST_F(SynProxyTrouble, BlockedSourcesGetNoAnswer) {
  bench_.put_sources({0xc6336400, 0xc6336500});  // 198.51.100.0/24
  turns();
  const Came came = client(from(kClient).syn().seq(kIsn));
  EXPECT_TRUE(came.to_clients.empty());
  EXPECT_EQ(count(Counter::kDropPolicy), 1u);
}

TEST_F(SynProxyTrouble, GuessedAcknowledgementsBeginNothing) {
  ASSERT_TRUE(syn(endpoint("203.0.113.1", 9)));
  std::mt19937 random(5);
  constexpr uint32_t kGuesses = 200'000;
  for (uint32_t n = 0; n < kGuesses; n++) {
    const Endpoint who = endpoint("198.51.100.9", static_cast<uint16_t>(1024 + n % 60'000));
    bench_.client_sends(from(who).seq(static_cast<uint32_t>(random())).ack(static_cast<uint32_t>(random())));
    if (n % 32 == 31) {
      bench_.turn();
      bench_.to_clients();
      bench_.to_backends();
    }
  }
  EXPECT_LE(count(Counter::kSynCookiesAccepted), 1u) << "one in eight million";
}

TEST_F(SynProxyTrouble, CookiesGoStale) {
  const auto answer = syn();
  ASSERT_TRUE(answer);
  after_turns(2 * HandshakeCookies::kPeriodMs);
  ASSERT_TRUE(syn(endpoint("198.51.100.8", 40000))) << "so that cookies are looked at";
  client(from(kClient).seq(kIsn + 1).ack(answer->seq + 1));
  EXPECT_EQ(count(Counter::kSynCookiesAccepted), 0u);
}

/// With a table of 4096: 1024 handshakes at most, so 256 begin it.
class SynProxyAuto : public SynProxyTest {
 protected:
  void SetUp() override { configure({}, channel::SynProxy::kAuto); }

  /// SYNs of as many clients that are not there.
  void flood(uint32_t syns, uint64_t over_ms = 0) {
    for (uint32_t n = 0; n < syns; n++) {
      const Endpoint who{Address::v4(Be32::of(0x0a640000 + forged_++)), Be16::of(1024)};
      bench_.client_sends(from(who).syn().seq(n));
      if (n % 32 != 31) continue;
      bench_.turn(over_ms * 32 / syns);
      bench_.to_clients();
      bench_.to_backends();
    }
    turns();
    bench_.to_clients();
    bench_.to_backends();
  }
  uint64_t now() const { return count(Counter::kSynProxyNow); }

  uint32_t forged_ = 0;
};

TEST_F(SynProxyAuto, BeginsWhenHandshakesPileUpAndEndsWhenTheyDoNoMore) {
  const auto before = bench_.establish(kClient, kVip);
  ASSERT_TRUE(before) << "by the backend's own handshake";
  EXPECT_EQ(now(), 0u);
  flood(250);
  EXPECT_EQ(now(), 0u);
  flood(64);
  EXPECT_EQ(now(), 1u);
  const uint64_t flows = bench_.worker().flows().size();
  flood(20'000, 2000);
  EXPECT_LE(bench_.worker().flows().size(), flows + 32) << "none is kept any more";
  const auto greeting =
      bench_.backend_to_client(Frame().from(*before).to(kClient).seq(5001).ack(1001).payload("220 x\r\n"));
  EXPECT_TRUE(greeting) << "sessions before it go on";
  const Session during = open(endpoint("198.51.100.8", 40000));
  for (int second = 0; second < 5; second++) turns(1000);
  EXPECT_EQ(now(), 1u) << "for a while it goes on";
  for (int second = 0; second < 80; second++) turns(1000);  // until the first handshakes are forgotten too
  bench_.turns(600);                                        // what was answered is sent again, a few at a time
  bench_.to_clients();
  EXPECT_EQ(now(), 0u);
  EXPECT_TRUE(bench_.client_to_backend(from(endpoint("198.51.100.9", 40000)).syn().seq(1))) << "the backend's turn";
  const auto down = backend(during.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n")).to_clients;
  ASSERT_EQ(down.size(), 1u);
  EXPECT_EQ(down[0].seq, during.cookie + 1) << "and those of the flood's time go on";
}

TEST_F(SynProxyAuto, ClientsThatFinishAreNoFlood) {
  for (uint16_t n = 0; n < 1000; n++) {
    ASSERT_TRUE(bench_.establish({kClient.address, Be16::of(static_cast<uint16_t>(2000 + n))}, kVip));
  }
  EXPECT_EQ(now(), 0u);
}

TEST_F(SynProxyAuto, WhereOpenSessionsFillTheTableTheBackendAnswers) {
  flood(300);
  ASSERT_EQ(now(), 1u);
  for (uint32_t n = 0; n < 4096 - 256; n++) open({Address::v4(Be32::of(0x0a650000 + n)), Be16::of(2000)});
  ASSERT_EQ(now(), 1u);
  const uint64_t sent = count(Counter::kSynCookiesSent);
  EXPECT_TRUE(bench_.client_to_backend(from(kClient).syn().seq(1))) << "with an entry or without";
  EXPECT_EQ(count(Counter::kSynCookiesSent), sent) << "there may be none left when its acknowledgement comes";
  EXPECT_EQ(count(Counter::kSynProxyFailed), 0u);
}

TEST_F(SynProxyAuto, OffIsOff) {
  configure({}, channel::SynProxy::kOff);
  flood(2000);
  EXPECT_EQ(count(Counter::kSynCookiesSent), 0u);
}

}  // namespace
}  // namespace sluice::testing
