// SPDX-License-Identifier: Apache-2.0
//
// Clients whose acknowledgement of our SYN-ACK was lost: they wait for the server to speak, and are to hear the answer
// again.
#include "dataplane/worker/answered_syns.h"

#include "tests/dataplane/support/syn_proxy_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

class AnsweredSynsTest : public SynProxyTest {
 protected:
  uint64_t resent() const { return count(Counter::kSynAcksResent); }

  /// Until nothing of what was answered is kept any more. Returns what clients heard meanwhile.
  std::vector<ReadFrame> wait() {
    std::vector<ReadFrame> out;
    for (int second = 0; second < 10; second++) {
      for (ReadFrame& one : after_turns(1000).to_clients) out.push_back(std::move(one));
    }
    return out;
  }

  /// Nobody can take a connection: clients are told 421.
  void lose_backends() {
    channel::PutService message{};
    message.on_no_backend = channel::OnNoBackend::k421;
    message.syn_proxy = channel::SynProxy::kAlways;
    bench_.put_service(0, kVip, {}, message);
    bench_.put_service(1, kVip6, {}, message);
    turns();
  }
};

void expect_same(const ReadFrame& again, const ReadFrame& first) {
  EXPECT_EQ(again.source, first.source);
  EXPECT_EQ(again.destination, first.destination);
  EXPECT_EQ(again.source_mac, first.source_mac);
  EXPECT_EQ(again.destination_mac, first.destination_mac);
  EXPECT_EQ(again.vlan, first.vlan);
  EXPECT_EQ(again.flags, first.flags);
  EXPECT_EQ(again.seq, first.seq);
  EXPECT_EQ(again.ack, first.ack);
  EXPECT_EQ(again.window, first.window);
  EXPECT_EQ(again.tcp_options, first.tcp_options);
}

TEST_F(AnsweredSynsTest, AClientThatIsNotHeardGetsTheAnswerTwiceMore) {
  for (const auto& [who, vip] : {std::pair(kClient, kVip), std::pair(kClient6, kVip6)}) {
    const auto answer = syn(who, vip);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(after_turns(999).to_clients.empty());
    for (const uint64_t wait_ms : {1, 2000}) {
      const auto again = after_turns(wait_ms).to_clients;
      ASSERT_EQ(again.size(), 1u) << wait_ms;
      expect_same(again[0], *answer);
    }
    EXPECT_TRUE(wait().empty());
  }
  EXPECT_EQ(resent(), 4u);
  EXPECT_EQ(bench_.worker().flows().size(), 0u);
}

TEST_F(AnsweredSynsTest, AClientWhoseAckWasLostGetsItsSession) {
  Session session{.client = kClient, .vip = kVip, .backend = {}, .client_at_backend = {}};
  const auto answer = syn();
  ASSERT_TRUE(answer);
  const auto again = after_turns(1000).to_clients;  // its acknowledgement never came here
  ASSERT_EQ(again.size(), 1u);
  session.cookie = again[0].seq;
  session.cookie_stamp = *stamp_of(again[0]);
  const auto asked = client(session.up(kIsn + 1, session.cookie + 1)
                                .window(502)
                                .tcp_options(TcpTraits::stamp(2005, session.cookie_stamp.value)))
                         .to_backends;
  ASSERT_EQ(asked.size(), 1u) << "as RFC 9293 has it, it acknowledges once more";
  session.backend = asked[0].destination;
  session.client_at_backend = asked[0].source;
  EXPECT_EQ(syn_ack(session).to_clients.size(), 1u);
  const auto greeting =
      backend(
          session.down(kServerIsn + 1, kIsn + 1).tcp_options(TcpTraits::stamp(kServerClock, 2005)).payload("220 x\r\n"))
          .to_clients;
  ASSERT_EQ(greeting.size(), 1u);
  EXPECT_EQ(text(greeting[0]), "220 x\r\n");
  EXPECT_TRUE(wait().empty()) << "it was heard";
  EXPECT_EQ(resent(), 1u);
}

TEST_F(AnsweredSynsTest, WhoWasHeardHearsNothingAgain) {
  Session session = open();
  open(kClient6, kVip6);
  Session waiting{.client = endpoint("198.51.100.8", 1), .vip = kVip, .backend = {}, .client_at_backend = {}};
  ASSERT_TRUE(ack(waiting)) << "its backend is silent";
  bench_.client_sends(
      session.up(kIsn + 1, session.cookie + 1).rst().tcp_options(TcpTraits::stamp(1006, session.cookie_stamp.value)));
  turns(500);  // this session is over within the second
  bench_.to_backends();
  bench_.to_clients();
  turns(600);
  EXPECT_TRUE(bench_.to_clients().empty());
  EXPECT_EQ(resent(), 0u);
}

TEST_F(AnsweredSynsTest, AClientThatIsToBeTold421AndWhoseAckWasLostIsToldAllTheSame) {
  lose_backends();
  for (const auto& [who, vip] : {std::pair(kClient, kVip), std::pair(kClient6, kVip6)}) {
    const auto answer = client(from(who, vip).syn().seq(kIsn)).to_clients;
    ASSERT_EQ(answer.size(), 1u);
    const auto again = after_turns(1000).to_clients;
    ASSERT_EQ(again.size(), 1u);
    expect_same(again[0], answer[0]);
    const auto reply = client(from(who, vip).seq(kIsn + 1).ack(again[0].seq + 1)).to_clients;
    ASSERT_EQ(reply.size(), 1u);
    EXPECT_EQ(text(reply[0]).substr(0, 4), "421 ");
    client(from(who, vip).seq(kIsn + 1).ack(again[0].seq + 2 + static_cast<uint32_t>(reply[0].payload.size())).fin());
    EXPECT_TRUE(wait().empty());
  }
  EXPECT_EQ(resent(), 2u);
}

TEST_F(AnsweredSynsTest, AServiceThatIsGoneSaysNothingMore) {
  ASSERT_TRUE(syn());
  bench_.command(channel::CommandType::kDropService, 0);
  turns();
  EXPECT_TRUE(wait().empty());
}

TEST_F(AnsweredSynsTest, ASynThatComesAgainAndAgainIsKeptOnce) {
  for (uint32_t n = 0; n < 2 * AnsweredSyns::kPlaces; n++) {
    bench_.client_sends(from(kClient).syn().seq(700));
    if (n % 32 != 31) continue;
    bench_.turn();
    bench_.front().take();
  }
  ASSERT_TRUE(syn(endpoint("198.51.100.9", 1025)));
  EXPECT_EQ(wait().size(), 4u) << "twice for each of two clients";
}

TEST_F(AnsweredSynsTest, AFloodTakesThePlacesAndNoMore) {
  for (uint32_t n = 0; n < 3 * AnsweredSyns::kPlaces; n++) {
    bench_.client_sends(from({Address::v4(Be32::of(0x0a640000 + n)), Be16::of(1024)}).syn().seq(n));
    if (n % 32 != 31) continue;
    bench_.turn();
    bench_.front().take();
  }
  EXPECT_EQ(count(Counter::kSynCookiesSent), 3 * AnsweredSyns::kPlaces);
  for (uint32_t n = 0; n < 10 * AnsweredSyns::kPlaces / AnsweredSyns::kResendsPerPoll; n++) {
    bench_.turn(10);
    EXPECT_LE(bench_.front().take().size(), AnsweredSyns::kResendsPerPoll);
  }
  EXPECT_EQ(resent(), 2 * AnsweredSyns::kForStrangers);
  ASSERT_TRUE(syn());
  EXPECT_EQ(wait().size(), 2u) << "there is room again";
}

TEST_F(AnsweredSynsTest, InAFloodThereIsRoomForWhoHasBeenHere) {
  open();
  open(kClient6, kVip6);
  for (uint32_t n = 0; n < AnsweredSyns::kPlaces; n++) {
    bench_.client_sends(from({Address::v4(Be32::of(0x0a640000 + n)), Be16::of(1024)}).syn().seq(n));
    if (n % 32 != 31) continue;
    bench_.turn();
    bench_.front().take();
  }
  ASSERT_TRUE(syn(endpoint("198.51.100.9", 1025))) << "never here before";
  ASSERT_TRUE(syn({kClient.address, Be16::of(7)}));
  ASSERT_TRUE(syn({kClient6.address, Be16::of(7)}, kVip6));
  std::vector<Endpoint> told;
  for (uint32_t n = 0; n < 10 * AnsweredSyns::kPlaces / AnsweredSyns::kResendsPerPoll; n++) {
    for (const ReadFrame& frame : after_turns(10).to_clients) told.push_back(frame.destination);
  }
  const auto heard = [&](const Endpoint& who) { return std::ranges::count(told, who); };
  EXPECT_EQ(heard(endpoint("198.51.100.9", 1025)), 0);
  EXPECT_EQ(heard({kClient.address, Be16::of(7)}), 2);
  EXPECT_EQ(heard({kClient6.address, Be16::of(7)}), 2);
}

}  // namespace
}  // namespace sluice::testing
