// SPDX-License-Identifier: Apache-2.0
//
// Clients whose SYN we have answered, and whose backend we have asked: its answer comes to another node, which tells of
// it (told_asked_test.cc is that node).
#include "dataplane/peers/flow_names.h"
#include "dataplane/worker/held_replies.h"
#include "tests/dataplane/support/syn_proxy_fixture.h"
#include "tests/dataplane/support/told_memory.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kGreetingBytes = 14;

class ToldAnswers : public ToldMemory, public SynProxyTest {
 protected:
  ToldAnswers() : ToldAnswers(tell_ring()) {}
  explicit ToldAnswers(rte_ring* ring) : ToldMemory(64), SynProxyTest({.tells = ring, .told = &table}), tells_(ring) {}

  Session asked(const Endpoint& who = kClient, const Endpoint& vip = kVip) {
    Session out{.client = who, .vip = vip, .backend = {}, .client_at_backend = {}};
    EXPECT_TRUE(ack(out));
    return out;
  }
  std::optional<ToldFlow> last_told() {
    const auto flows = take_told(tells_);
    return flows.empty() ? std::nullopt : FlowNames(bench_.flow_memory(), 4096).at(flows.back());
  }
  /// What the node that has the answer tells.
  static ToldFlow answered(const Session& session) {
    ToldFlow out{.client = session.client,
                 .vip = session.vip,
                 .backend = session.backend,
                 .local = {},
                 .stage = FlowStage::kOpen,
                 .splice = {}};
    out.splice = ToldSplice{.sequence = session.shift(),
                            .timestamp = session.clock_shift(),
                            .client_scale = 7,
                            .server_scale = 7,
                            .timestamps = true,
                            .client_next = kIsn + 1};
    return out;
  }
  void tell(const ToldFlow& flow) { table.put(flow, 0, 1); }
  /// The client has the greeting, and answers it.
  static Frame hello(const Session& session) {
    return session.up(kIsn + 1, session.cookie + 1 + kGreetingBytes)
        .psh()
        .payload("EHLO a\r\n")
        .tcp_options(TcpTraits::stamp(1010, session.cookie_stamp.value + 9));
  }
  static void expect_hello(const Came& came, const Session& session) {
    ASSERT_EQ(came.to_backends.size(), 1u);
    const ReadFrame& sent = came.to_backends[0];
    EXPECT_EQ(sent.destination, session.backend);
    EXPECT_EQ(sent.seq, kIsn + 1);
    EXPECT_EQ(sent.ack, kServerIsn + 1 + kGreetingBytes);
    EXPECT_EQ(stamp_of(sent), (Stamp{1010, kServerClock + 9}));
    EXPECT_EQ(text(sent), "EHLO a\r\n");
  }

  rte_ring* tells_;
};

TEST_F(ToldAnswers, OthersAreToldWhatTheClientWasPromised) {
  for (const auto& [who, vip] : {std::pair(kClient, kVip), std::pair(kClient6, kVip6)}) {
    const Session session = asked(who, vip);
    const auto told = last_told();
    ASSERT_TRUE(told);
    EXPECT_TRUE(told->is_asked());
    EXPECT_EQ(told->client, who);
    EXPECT_EQ(told->backend, session.backend);
    EXPECT_EQ(told->splice, (ToldSplice{.sequence = session.cookie,
                                        .timestamp = session.cookie_stamp.value,
                                        .client_scale = 7,
                                        .server_scale = Splice::kNoScale,
                                        .timestamps = true,
                                        .client_next = kIsn + 1,
                                        .client_timestamp = Be32::of(1005).raw}));
  }
}

TEST_F(ToldAnswers, NothingIsToldOfWhatThisNodeAloneCanAnswer) {
  channel::PutService proxy{};
  proxy.proxy = channel::ProxyHeader::kV1;
  configure(proxy);
  asked();
  EXPECT_FALSE(last_told()) << "the header lies here";
  channel::PutService fullnat{};
  fullnat.forwarding = channel::Forwarding::kFullnat;
  configure(fullnat);
  asked({kClient.address, Be16::of(41000)});
  EXPECT_FALSE(last_told()) << "the answer comes here";
}

TEST_F(ToldAnswers, AClientGoesOnWhoseAnswerIsAtAnotherNode) {
  for (const auto& [who, vip] : {std::pair(kClient, kVip), std::pair(kClient6, kVip6)}) {
    const Session session = asked(who, vip);
    tell(answered(session));
    expect_hello(client(hello(session)), session);
  }
  EXPECT_TRUE(after_turns(10'000).to_backends.empty()) << "nobody is asked again";
  EXPECT_EQ(count(Counter::kSynProxyRetried), 0u);
  EXPECT_EQ(count(Counter::kDropSynProxyPending), 0u);
}

TEST_F(ToldAnswers, WhatAClientSaysSoonerThanTheWordOfItWaits) {
  const Session session = asked();
  EXPECT_TRUE(client(hello(session)).to_backends.empty());
  tell(answered(session));
  expect_hello(after_turns(HeldReplies::kHoldMs), session);
  EXPECT_EQ(count(Counter::kRepliesHeld), 1u);
}

TEST_F(ToldAnswers, WaitsInVainForAWordThatDoesNotCome) {
  const Session session = asked();
  client(hello(session));
  EXPECT_TRUE(after_turns(HeldReplies::kHoldMs).to_backends.empty());
  EXPECT_EQ(count(Counter::kDropSynProxyPending), 1u);
}

TEST_F(ToldAnswers, ClientsThatHaveNotHeardOfTheirServerDoNotWaitHere) {
  const Session session = asked();
  client(session.up(kIsn + 1, session.cookie + 1));                    // its ACK once more
  client(session.up(kIsn + 1, session.cookie + 70'000).payload("x"));  // a guess
  client(session.up(kIsn + 70'000, session.cookie + 1).payload("x"));  // another
  client(Frame().from(kClient).to(kVip).syn().seq(kIsn));
  EXPECT_EQ(count(Counter::kRepliesHeld), 0u);
}

TEST_F(ToldAnswers, ClientsTakeHalfOfThePlacesAtMost) {
  const Session session = asked();
  for (uint32_t i = 0; i < kMostHeldReplies; i++) client(hello(session));
  EXPECT_EQ(count(Counter::kRepliesHeld), HeldReplies::kMostOfClients);
  after_turns(HeldReplies::kHoldMs);
  after_turns(HeldReplies::kHoldMs);
  EXPECT_EQ(count(Counter::kDropSynProxyPending), kMostHeldReplies);
}

TEST_F(ToldAnswers, ASilentServerIsNotTakenForOneThatDoesNotAnswer) {
  const Session session = asked();
  tell(answered(session));
  for (const uint64_t wait_ms : {1000, 2000, 5000}) EXPECT_TRUE(after_turns(wait_ms).to_backends.empty());
  EXPECT_EQ(count(Counter::kSynProxyMoved) + count(Counter::kSynProxyRetried), 0u);
  expect_hello(client(hello(session)), session);
}

TEST_F(ToldAnswers, AServersNextWordMayComeHere) {
  const Session session = asked();
  tell(answered(session));
  const Came came = backend(session.down(kServerIsn + 1, kIsn + 1).psh().payload("220 mx ESMTP\r\n"));
  ASSERT_EQ(came.to_clients.size(), 1u);
  EXPECT_EQ(came.to_clients[0].seq, session.cookie + 1);
}

TEST_F(ToldAnswers, AClientThatUsesItsPortAgainBeginsAnewAndOnlyWhoIsProvenDoes) {
  const Session session = asked();
  tell(answered(session));
  expect_hello(client(hello(session)), session);
  const uint32_t isn = kIsn + 1'000'000;
  const Came came = client(from(kClient).syn().seq(isn).tcp_options(TcpTraits{.clock = 2000}.syn_options(0)));
  ASSERT_EQ(came.to_clients.size(), 1u) << "it is answered, and nothing goes to its last server";
  EXPECT_TRUE(came.to_backends.empty());
  const Frame more = session.up(kIsn + 9, session.cookie + 1 + kGreetingBytes).psh().payload("NOOP\r\n");
  EXPECT_EQ(client(more).to_backends.size(), 1u) << "whoever sent the SYN: the session goes on";
  const auto stamp = stamp_of(came.to_clients[0]).value_or(Stamp{});
  const Came asked_again = client(
      from(kClient).seq(isn + 1).ack(came.to_clients[0].seq + 1).tcp_options(TcpTraits::stamp(2005, stamp.value)));
  ASSERT_EQ(asked_again.to_backends.size(), 1u);
  EXPECT_EQ(asked_again.to_backends[0].flags, uint8_t{kTcpSyn});
  EXPECT_EQ(asked_again.to_backends[0].seq, isn);
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
}

TEST_F(ToldAnswers, WhatOthersKnowOfAnotherConnectionIsNoAnswer) {
  const Session session = asked();
  std::vector<ToldFlow> others(5, answered(session));
  others[0].splice->client_next = kIsn - 70'000;  // the client's last one
  others[1].splice->client_next = kIsn;
  others[2].backend = {session.backend.address, Be16::of(2526)};
  others[3].splice.reset();
  others[4].stage = FlowStage::kPlaced;
  for (const ToldFlow& other : others) {
    table.erase(session.client, session.vip);
    tell(other);
    client(hello(session));
    EXPECT_TRUE(after_turns(HeldReplies::kHoldMs).to_backends.empty());
  }
  EXPECT_EQ(after_turns(1000).to_backends.size(), 1u) << "its server is asked again";
  EXPECT_EQ(count(Counter::kSynProxyRetried), 1u);
}

}  // namespace
}  // namespace sluice::testing
