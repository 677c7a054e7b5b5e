// SPDX-License-Identifier: Apache-2.0
//
// SYN cookies in a backend's place, packet by packet: the two handshakes, and what both ends see of each other after
// them (RFC 4987 section 3.6, RFC 7323, RFC 2018).
#include "dataplane/worker/syn_proxy.h"

#include "dataplane/packet/proxy_header.h"
#include "tests/dataplane/support/syn_proxy_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint8_t kSyn = kTcpSyn, kRst = kTcpRst, kPsh = kTcpPsh, kAck = kTcpAck, kFin = kTcpFin;

struct Ends {
  const char* what;
  Endpoint client, vip;
  uint16_t mss;
};
const Ends kEnds[] = {{"IPv4", kClient, kVip, 1460}, {"IPv6", kClient6, kVip6, 1440}};

TEST_F(SynProxyTest, AnswersASynAndKeepsNothingOfIt) {
  for (const Ends& ends : kEnds) {
    const auto answer = syn(ends.client, ends.vip);
    ASSERT_TRUE(answer) << ends.what;
    EXPECT_EQ(answer->flags, kSyn | kAck);
    EXPECT_EQ(answer->source, ends.vip);
    EXPECT_EQ(answer->destination, ends.client);
    EXPECT_EQ(answer->destination_mac, mac(0xc1));
    EXPECT_EQ(answer->source_mac, WorkerBench::front_mac());
    EXPECT_EQ(answer->ack, kIsn + 1);
    EXPECT_EQ(answer->window, 0) << "the client waits until a server is there";
    const auto stamp = stamp_of(*answer);
    ASSERT_TRUE(stamp);
    EXPECT_EQ(stamp->echo, 1000u);
    const TcpTraits promised{.mss = ends.mss, .clock = stamp->value};
    EXPECT_EQ(answer->tcp_options, promised.syn_options(1000));
  }
  EXPECT_EQ(count(Counter::kSynCookiesSent), 2u);
  EXPECT_EQ(count(Counter::kFlowsCreated), 0u);
}

TEST_F(SynProxyTest, PromisesNoMoreThanWasAskedFor) {
  const auto bare = client(from(kClient).syn().seq(kIsn)).to_clients;
  ASSERT_EQ(bare.size(), 1u);
  EXPECT_EQ(bare[0].tcp_options, (Bytes{2, 4, 0x05, 0xb4}));
  const auto scaled = syn(kClient, kVip, {.scale = 3, .sack = false, .clock = std::nullopt});
  ASSERT_TRUE(scaled);
  EXPECT_EQ(scaled->tcp_options, (Bytes{2, 4, 0x05, 0xb4, 1, 3, 3, 7}));
  const auto sack = syn(kClient, kVip, {.scale = std::nullopt, .clock = std::nullopt});
  ASSERT_TRUE(sack);
  EXPECT_EQ(sack->tcp_options, (Bytes{2, 4, 0x05, 0xb4, 1, 1, 4, 2}));
}

TEST_F(SynProxyTest, AsksABackendWithWhatTheClientAnnounced) {
  struct {
    const char* what;
    TcpTraits traits;
    uint16_t mss;  // as it is passed on
  } const cases[] = {
      {"all", {}, 1460},
      {"no timestamps, as Windows", {.mss = 1440, .scale = 8, .clock = std::nullopt}, 1440},
      {"nothing but a size", {.mss = 1452, .scale = std::nullopt, .sack = false, .clock = std::nullopt}, 1440},
      {"an odd size", {.mss = 1300}, 1220},
      {"a large size", {.mss = 8960}, 1460},
      {"a large scale", {.scale = 14}, 1460},
  };
  uint16_t port = 41000;
  for (const auto& c : cases) {
    for (const Ends& ends : kEnds) {
      Session session{
          .client = {ends.client.address, Be16::of(port++)}, .vip = ends.vip, .backend = {}, .client_at_backend = {}};
      const auto asked = ack(session, c.traits);
      ASSERT_TRUE(asked) << c.what;
      EXPECT_EQ(asked->flags, kSyn);
      EXPECT_EQ(asked->seq, kIsn);
      EXPECT_EQ(asked->ack, 0u);
      EXPECT_EQ(asked->source, session.client);
      EXPECT_EQ(asked->window, c.traits.scale ? std::min(502U << *c.traits.scale, 65535U) : 502U);
      TcpTraits expected = c.traits;
      expected.mss = std::min(c.mss, ends.mss);
      if (expected.clock) expected.clock = *expected.clock + 5;
      EXPECT_EQ(asked->tcp_options, expected.syn_options(0)) << c.what << ", " << ends.what;
    }
  }
  EXPECT_EQ(count(Counter::kSynCookiesAccepted), 12u);
}

TEST_F(SynProxyTest, OpensTheWindowWhenTheBackendHasAnswered) {
  for (const Ends& ends : kEnds) {
    Session session{.client = ends.client, .vip = ends.vip, .backend = {}, .client_at_backend = {}};
    ASSERT_TRUE(ack(session));
    const Came came = syn_ack(session);
    ASSERT_EQ(came.to_clients.size(), 1u);
    ASSERT_EQ(came.to_backends.size(), 1u);
    const ReadFrame& opened = came.to_clients[0];
    EXPECT_EQ(opened.flags, kAck);
    EXPECT_EQ(opened.source, ends.vip);
    EXPECT_EQ(opened.destination, ends.client);
    EXPECT_EQ(opened.destination_mac, mac(0xc1));
    EXPECT_EQ(opened.seq, session.cookie + 1);
    EXPECT_EQ(opened.ack, kIsn + 1);
    EXPECT_EQ(opened.window, 64240 >> 7);
    EXPECT_EQ(stamp_of(opened), (Stamp{session.cookie_stamp.value, 1005}));
    const ReadFrame& acknowledged = came.to_backends[0];
    EXPECT_EQ(acknowledged.flags, kAck);
    EXPECT_EQ(acknowledged.source, ends.client);
    EXPECT_EQ(acknowledged.seq, kIsn + 1);
    EXPECT_EQ(acknowledged.ack, kServerIsn + 1);
    EXPECT_EQ(acknowledged.window, 65535 >> 7 < 502 ? 65535 >> 7 : 502);
    EXPECT_EQ(stamp_of(acknowledged), (Stamp{1005, kServerClock}));
  }
  EXPECT_EQ(count(Counter::kFlowsEstablished), 2u);
  EXPECT_EQ(count(Counter::kFlowsEmbryonicNow), 0u);
}

TEST_F(SynProxyTest, RenumbersASessionToItsEnd) {
  for (const Ends& ends : kEnds) {
    const Session session = open(ends.client, ends.vip);
    const auto stamped = [&](Frame frame, uint32_t value, uint32_t echo) {
      return frame.tcp_options(TcpTraits::stamp(value, echo));
    };
    uint32_t at = kServerIsn + 1;
    const std::string greeting_line = "220 mx ESMTP\r\n";
    auto down =
        backend(stamped(session.down(at, kIsn + 1).psh().window(501).payload(greeting_line), kServerClock + 9, 1005));
    ASSERT_EQ(down.to_clients.size(), 1u) << ends.what;
    EXPECT_EQ(down.to_clients[0].seq, session.cookie + 1);
    EXPECT_EQ(down.to_clients[0].ack, kIsn + 1);
    EXPECT_EQ(down.to_clients[0].window, 501);
    EXPECT_EQ(text(down.to_clients[0]), greeting_line);
    EXPECT_EQ(stamp_of(down.to_clients[0]), (Stamp{session.cookie_stamp.value + 9, 1005}));
    at += static_cast<uint32_t>(greeting_line.size());

    const uint32_t seen = session.cookie + 1 + static_cast<uint32_t>(greeting_line.size());
    Bytes sacked = TcpTraits::stamp(1010, session.cookie_stamp.value + 9);
    append(sacked, {1, 1, 5, 10});
    append(sacked, network_order(seen + 100));
    append(sacked, network_order(seen + 200));
    auto up = client(session.up(kIsn + 1, seen).psh().window(400).tcp_options(sacked).payload("QUIT\r\n"));
    ASSERT_EQ(up.to_backends.size(), 1u) << ends.what;
    EXPECT_EQ(up.to_backends[0].seq, kIsn + 1);
    EXPECT_EQ(up.to_backends[0].ack, at);
    EXPECT_EQ(up.to_backends[0].window, 400);
    EXPECT_EQ(text(up.to_backends[0]), "QUIT\r\n");
    EXPECT_EQ(stamp_of(up.to_backends[0]), (Stamp{1010, kServerClock + 9}));
    EXPECT_EQ(word_at(up.to_backends[0].tcp_options, 16), at + 100);
    EXPECT_EQ(word_at(up.to_backends[0].tcp_options, 20), at + 200);

    down = backend(session.down(at, kIsn + 7).psh().fin().payload("221 bye\r\n"));
    ASSERT_EQ(down.to_clients.size(), 1u);
    EXPECT_EQ(down.to_clients[0].flags, kPsh | kAck | kFin);
    EXPECT_EQ(down.to_clients[0].seq, seen);
    up = client(session.up(kIsn + 7, seen + 10).fin());
    ASSERT_EQ(up.to_backends.size(), 1u);
    EXPECT_EQ(up.to_backends[0].ack, at + 10);
    down = backend(session.down(at + 10, kIsn + 8));
    ASSERT_EQ(down.to_clients.size(), 1u);
    EXPECT_EQ(down.to_clients[0].seq, seen + 10);
  }
  EXPECT_EQ(count(Counter::kFlowsClosed), 2u);
  EXPECT_EQ(count(Counter::kSegmentsNotBelieved), 0u);
  for (const uint16_t id : {0, 1}) {
    channel::SmtpCounters smtp = bench_.stats().service_smtp[id];
    EXPECT_EQ(smtp[channel::SmtpCounter::kGreeting2xx], 1u) << "its dialogue is watched as any other";
  }
}

TEST_F(SynProxyTest, EndsWhereTheClientClosesFirst) {
  for (const Ends& ends : kEnds) {
    const Session session = open(ends.client, ends.vip);
    const uint32_t seen = session.cookie + 1;
    auto up = client(session.up(kIsn + 1, seen).fin());
    ASSERT_EQ(up.to_backends.size(), 1u) << ends.what;
    EXPECT_EQ(up.to_backends[0].flags, kAck | kFin);
    EXPECT_EQ(up.to_backends[0].ack, kServerIsn + 1);
    auto down = backend(session.down(kServerIsn + 1, kIsn + 2).psh().payload("221 bye\r\n"));
    ASSERT_EQ(down.to_clients.size(), 1u) << "it may still be spoken to";
    EXPECT_EQ(down.to_clients[0].seq, seen);
    EXPECT_EQ(down.to_clients[0].ack, kIsn + 2);
    down = backend(session.down(kServerIsn + 10, kIsn + 2).fin());
    ASSERT_EQ(down.to_clients.size(), 1u);
    EXPECT_EQ(down.to_clients[0].seq, seen + 9);
    up = client(session.up(kIsn + 2, seen + 10));
    ASSERT_EQ(up.to_backends.size(), 1u);
    EXPECT_EQ(up.to_backends[0].ack, kServerIsn + 11);
  }
  EXPECT_EQ(count(Counter::kFlowsClosed), 2u);
  EXPECT_EQ(count(Counter::kSegmentsNotBelieved), 0u);
}

TEST_F(SynProxyTest, TakesOptionsInTheOrderOfFreeBsd) {
  Bytes options{2, 4, 0x05, 0xa0, 1, 3, 3, 6, 4, 2, 8, 10};  // MSS 1440, scale 6, SACK, timestamps
  append(options, network_order(1000));
  append(options, network_order(0));
  for (const Ends& ends : kEnds) {
    const auto answer = client(from(ends.client, ends.vip).syn().seq(kIsn).tcp_options(options)).to_clients;
    ASSERT_EQ(answer.size(), 1u) << ends.what;
    EXPECT_EQ(stamp_of(answer[0])->echo, 1000u);
    EXPECT_TRUE(find_option(answer[0].tcp_options, 4) && find_option(answer[0].tcp_options, 3));
    Session session{.client = ends.client, .vip = ends.vip, .backend = {}, .client_at_backend = {}};
    session.cookie = answer[0].seq;
    session.cookie_stamp = *stamp_of(answer[0]);
    const auto asked = client(session.up(kIsn + 1, session.cookie + 1)
                                  .window(1030)
                                  .tcp_options(TcpTraits::stamp(1005, session.cookie_stamp.value)))
                           .to_backends;
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(word_at(asked[0].tcp_options, 0) & 0xffff, 1440u);
    EXPECT_EQ(asked[0].tcp_options.at(*find_option(asked[0].tcp_options, 3) + 2), 6);
    EXPECT_TRUE(find_option(asked[0].tcp_options, 4));
    EXPECT_EQ(stamp_of(asked[0])->value, 1005u);
  }
}

TEST_F(SynProxyTest, TranslatesWindowsOfOtherScales) {
  struct {
    std::optional<uint8_t> client, server;
    uint16_t down, down_seen, up, up_seen;
  } const cases[] = {
      {7, 7, 1000, 1000, 1000, 1000},
      {7, 9, 1000, 4000, 1000, 1000},
      {7, 5, 1000, 250, 1000, 1000},
      {2, 14, 1000, 65535, 1000, 1000},
      {7, std::nullopt, 12800, 100, 400, 51200},
      {14, std::nullopt, 12800, 100, 400, 65535},
      {std::nullopt, std::nullopt, 1000, 1000, 1000, 1000},
  };
  uint16_t port = 42000;
  for (const auto& c : cases) {
    const Endpoint who{kClient.address, Be16::of(port++)};
    const Session session = open(who, kVip, {.scale = c.client}, {.scale = c.server, .clock = kServerClock});
    const auto down = backend(session.down(kServerIsn + 1, kIsn + 1).window(c.down).payload("220 x\r\n")).to_clients;
    ASSERT_EQ(down.size(), 1u);
    EXPECT_EQ(down[0].window, c.down_seen) << port;
    const auto up = client(session.up(kIsn + 1, session.cookie + 8).window(c.up)).to_backends;
    ASSERT_EQ(up.size(), 1u);
    EXPECT_EQ(up[0].window, c.up_seen) << port;
  }
}

TEST_F(SynProxyTest, TheInjectedHeaderComesFirst) {
  channel::PutService message{};
  message.proxy = channel::ProxyHeader::kV2;
  configure(message);
  for (const Ends& ends : kEnds) {
    Session session{.client = ends.client, .vip = ends.vip, .backend = {}, .client_at_backend = {}};
    ASSERT_TRUE(ack(session));
    Came came = syn_ack(session);
    ASSERT_EQ(came.to_clients.size(), 1u);
    ASSERT_EQ(came.to_backends.size(), 1u) << "the header acknowledges the SYN";
    const ReadFrame& header = came.to_backends[0];
    Bytes expected(kMaxProxyHeader);
    expected.resize(write_proxy_header(channel::ProxyHeader::kV2, ends.client, ends.vip, expected.data()));
    EXPECT_EQ(header.payload, expected);
    EXPECT_EQ(header.seq, kIsn + 1);
    EXPECT_EQ(header.ack, kServerIsn + 1);
    EXPECT_EQ(stamp_of(header), (Stamp{1005, kServerClock}));
    const auto bytes = static_cast<uint32_t>(expected.size());

    came = after_turns(800);
    ASSERT_EQ(came.to_backends.size(), 1u) << "lost, and sent again";
    EXPECT_EQ(came.to_backends[0].payload, expected);
    EXPECT_EQ(came.to_backends[0].ack, kServerIsn + 1);
    const auto down = backend(session.down(kServerIsn + 1, kIsn + 1 + bytes).payload("220 x\r\n")).to_clients;
    ASSERT_EQ(down.size(), 1u);
    EXPECT_EQ(down[0].seq, session.cookie + 1);
    EXPECT_EQ(down[0].ack, kIsn + 1);
    const auto up = client(session.up(kIsn + 1, session.cookie + 8).payload("EHLO x\r\n")).to_backends;
    ASSERT_EQ(up.size(), 1u);
    EXPECT_EQ(up[0].seq, kIsn + 1 + bytes);
    EXPECT_EQ(up[0].ack, kServerIsn + 8);
  }
}

TEST_F(SynProxyTest, FullnatToo) {
  channel::PutService message{};
  message.forwarding = channel::Forwarding::kFullnat;
  configure(message);
  for (const Ends& ends : kEnds) {
    const Session session = open(ends.client, ends.vip);
    EXPECT_NE(session.client_at_backend, ends.client);
    const auto down = backend(session.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n")).to_clients;
    ASSERT_EQ(down.size(), 1u) << ends.what;
    EXPECT_EQ(down[0].source, ends.vip);
    EXPECT_EQ(down[0].destination, ends.client);
    EXPECT_EQ(down[0].seq, session.cookie + 1);
    const auto up = client(session.up(kIsn + 1, session.cookie + 8).payload("QUIT\r\n")).to_backends;
    ASSERT_EQ(up.size(), 1u);
    EXPECT_EQ(up[0].source, session.client_at_backend);
    EXPECT_EQ(up[0].ack, kServerIsn + 8);
  }
}

TEST_F(SynProxyTest, LearnsHowLargeSegmentsServersTake) {
  open(kClient, kVip, {}, {.mss = 1380, .clock = kServerClock});
  const auto answer = syn(endpoint("198.51.100.8", 40000));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->tcp_options.at(2) << 8 | answer->tcp_options.at(3), 1380);
  const auto other = syn(kClient6, kVip6);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->tcp_options.at(2) << 8 | other->tcp_options.at(3), 1440) << "of another service nothing is known";
}

TEST_F(SynProxyTest, LearnsThatAServerHasNoTimestamps) {
  const Session session = open(kClient, kVip, {}, {.clock = std::nullopt});
  const auto down = backend(session.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n")).to_clients;
  ASSERT_EQ(down.size(), 1u);
  EXPECT_EQ(down[0].seq, session.cookie + 1);
  EXPECT_FALSE(stamp_of(down[0]));
  const Endpoint other = endpoint("198.51.100.8", 40000);
  auto answer = syn(other);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(stamp_of(*answer)) << "the next are promised none";
  after_turns(SynProxy::kNoTimestampsMs);
  answer = syn(other);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(stamp_of(*answer));
}

TEST_F(SynProxyTest, BothEndsHearOfACutInTheirOwnNumbers) {
  for (const Ends& ends : kEnds) {
    const Session session = open(ends.client, ends.vip);
    backend(session.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n"));
    const uint16_t id = session.backend == backend4(0)   ? 0
                        : session.backend == backend4(1) ? 1
                        : session.backend == backend6(3) ? 3
                                                         : 4;
    bench_.put_backend(id, session.backend, channel::kBackendReachable | channel::kBackendCut);
    Came came;
    for (int i = 0; i < 400 && came.to_clients.empty(); i++) came = after_turns(1);
    ASSERT_EQ(came.to_clients.size(), 1u) << ends.what;
    EXPECT_EQ(came.to_clients[0].flags, kRst | kAck);
    EXPECT_EQ(came.to_clients[0].seq, session.cookie + 8);
    ASSERT_EQ(came.to_backends.size(), 1u);
    EXPECT_EQ(came.to_backends[0].seq, kIsn + 1);
    EXPECT_EQ(came.to_backends[0].ack, kServerIsn + 8);
  }
}

TEST_F(SynProxyTest, ASessionOutlivesTheProcess) {
  const Session session = open();
  WorkerBench heir({.flow_memory = bench_.flow_memory(), .snapshot = false});
  ASSERT_EQ(heir.worker().flows().adopted(), 1u);
  const auto down = heir.backend_to_client(session.down(kServerIsn + 1, kIsn + 1)
                                               .payload("220 x\r\n")
                                               .tcp_options(TcpTraits::stamp(kServerClock + 1, 1005)));
  ASSERT_TRUE(down);
  EXPECT_EQ(down->seq, session.cookie + 1);
  EXPECT_EQ(stamp_of(*down), (Stamp{session.cookie_stamp.value + 1, 1005}));
  const auto up = heir.client_to_backend(session.up(kIsn + 1, session.cookie + 8).payload("QUIT\r\n"));
  ASSERT_TRUE(up);
  EXPECT_EQ(up->ack, kServerIsn + 8);
}

class SynProxyOfManyWorkers : public SynProxyTest {
 protected:
  SynProxyOfManyWorkers() : SynProxyTest({.workers = 4}) {}
};

TEST_F(SynProxyOfManyWorkers, WhoeverGetsTheSegmentsKnowsTheCookie) {
  for (uint16_t port = 43000; port < 43032; port++) {
    const Session session = open({kClient.address, Be16::of(port)}, kVip);
    const auto down = backend(session.down(kServerIsn + 1, kIsn + 1).payload("220 x\r\n")).to_clients;
    ASSERT_EQ(down.size(), 1u);
    EXPECT_EQ(down[0].seq, session.cookie + 1);
    const auto up = client(session.up(kIsn + 1, session.cookie + 8).payload("QUIT\r\n")).to_backends;
    ASSERT_EQ(up.size(), 1u);
    EXPECT_EQ(up[0].ack, kServerIsn + 8);
  }
  EXPECT_EQ(count(Counter::kFlowsEstablished), 32u);
}

TEST_F(SynProxyTest, AVlanIsKept) {
  const auto answer = client(from(kClient).vlan(7).syn().seq(kIsn)).to_clients;
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].vlan, 7);
  const auto asked = client(from(kClient).vlan(7).seq(kIsn + 1).ack(answer[0].seq + 1)).to_backends;
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].vlan, 0);
  const auto opened =
      backend(Frame().from(asked[0].destination).to(kClient).syn().seq(kServerIsn).ack(kIsn + 1)).to_clients;
  ASSERT_EQ(opened.size(), 1u);
  EXPECT_EQ(opened[0].vlan, 7);
}

}  // namespace
}  // namespace sluice::testing
