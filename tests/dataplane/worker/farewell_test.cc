// SPDX-License-Identifier: Apache-2.0
//
// Sessions of a backend that leaves: where their clients hear 421, where they do not, and what both ends get then,
// packet by packet (RFC 5321 sections 3.8 and 4.1.1.4; RFC 9293).
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/support/syn_proxy_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter, channel::SessionEnd, channel::SessionParty, channel::SmtpCounter;

constexpr uint8_t kFin = 0x01, kRst = 0x04, kPsh = 0x08, kAck = 0x10;
const std::string kLine = std::string("421 ") + channel::kDefaultRefusal + "\r\n";
const Endpoint kTlsVip = endpoint("192.0.2.25", 465);

/// Service 0 (IPv4) over backend 0, 1 (IPv6) over backend 3, and 2 with implicit TLS over backend 0.
class FarewellTest : public ::testing::Test {
 protected:
  explicit FarewellTest(const BenchOptions& options = {}) : bench_(options) {}
  void SetUp() override { configure({}); }
  void TearDown() override { bench_.expect_counter_law(); }

  void configure(const channel::PutService& message, uint16_t vlan = 0) {
    if (message.forwarding == channel::Forwarding::kFullnat) {
      bench_.put_local(0, address("10.0.1.1"));
      bench_.put_local(1, address("fd00:1::1"));
    }
    vlan_ = vlan;
    put_backends(channel::kBackendReachable);
    bench_.put_service(0, kVip, {0}, message);
    bench_.put_service(1, kVip6, {3}, message);
    bench_.put_service(2, kTlsVip, {0}, message);
    turns();
    ASSERT_EQ(count(Counter::kCommandsRejected), 0u);
  }
  void put_backends(uint8_t flags) {
    bench_.put_backend(0, backend4(0), flags, 1, vlan_);
    bench_.put_backend(3, backend6(3), flags, 1, vlan_);
  }
  void leave() {
    put_backends(channel::kBackendReachable | channel::kBackendLeaving);
    turns();
  }
  void stay() {
    put_backends(channel::kBackendReachable);
    turns();
  }
  void turns(uint64_t advance_ms = 0) {
    bench_.turn(advance_ms);
    bench_.turns(2);
  }

  struct Came {
    std::vector<ReadFrame> to_client, to_server;
  };
  Came came() { return {bench_.to_clients(), bench_.to_backends()}; }

  /// A handshake, and the greeting.
  void connect(const Endpoint& client = kClient, const Endpoint& vip = kVip, uint16_t client_vlan = 0) {
    client_ = client;
    vip_ = vip;
    client_vlan_ = client_vlan;
    up_ = 1001;
    down_ = 5001;
    bench_.client_sends(Frame().from(client).to(vip).vlan(client_vlan).syn().seq(1000));
    turns();
    const auto syn = bench_.to_backends();
    ASSERT_EQ(syn.size(), 1u);
    server_ = syn[0].destination;
    client_at_server_ = syn[0].source;
    bench_.backend_sends(Frame().from(server_).to(client_at_server_).vlan(vlan_).syn().seq(5000).ack(1001));
    turns();
    bench_.client_sends(up());
    turns();
    header_ = 0;
    for (const ReadFrame& frame : bench_.to_backends()) header_ += static_cast<uint32_t>(frame.payload.size());
    bench_.to_clients();
  }
  void greet() { server_says("220 mx ESMTP\r\n"); }

  Frame up() const { return Frame().from(client_).to(vip_).vlan(client_vlan_).seq(up_).ack(down_); }
  /// In the server's own numbers.
  Frame down() const { return Frame().from(server_).to(client_at_server_).vlan(vlan_).seq(down_).ack(up_ + header_); }

  /// What is said, and goes on as it was said; the other side acknowledges it.
  void client_says(const std::string& text) {
    bench_.client_sends(up().psh().payload(text));
    turns();
    const Came out = came();
    ASSERT_EQ(out.to_server.size(), 1u) << text;
    ASSERT_TRUE(out.to_client.empty()) << text;
    up_ += static_cast<uint32_t>(text.size());
  }
  void server_says(const std::string& text) {
    bench_.backend_sends(down().psh().payload(text));
    turns();
    ASSERT_EQ(bench_.to_clients().size(), 1u) << text;
    down_ += static_cast<uint32_t>(text.size());
    bench_.client_sends(up());
    turns();
    ASSERT_EQ(bench_.to_backends().size(), 1u) << text;
  }
  void exchange(const std::string& command, const std::string& reply) {
    ASSERT_NO_FATAL_FAILURE(client_says(command));
    ASSERT_NO_FATAL_FAILURE(server_says(reply));
  }
  void send_message() {
    exchange("MAIL FROM:<a@example.org>\r\n", "250 ok\r\n");
    exchange("RCPT TO:<b@example.net>\r\n", "250 ok\r\n");
    exchange("DATA\r\n", "354 go\r\n");
    exchange("Subject: x\r\n\r\nx\r\n.\r\n", "250 queued\r\n");
  }

  /// The client's next command is answered with 421 and a FIN, and the server gets a reset, both at the very numbers.
  void expect_told(const std::string& command, const Bytes& options = {}) {
    bench_.client_sends(up().psh().payload(command).tcp_options(options));
    turns();
    const uint32_t acked = up_ + static_cast<uint32_t>(command.size());
    const Came out = came();
    ASSERT_EQ(out.to_client.size(), 1u) << command;
    expect_line(out.to_client[0], acked);
    ASSERT_EQ(out.to_server.size(), 1u) << command;
    expect_reset(out.to_server[0]);
    up_ = acked;
  }
  void expect_line(const ReadFrame& frame, uint32_t acked) const {
    EXPECT_EQ(frame.source, vip_);
    EXPECT_EQ(frame.destination, client_);
    EXPECT_EQ(frame.vlan, client_vlan_);
    EXPECT_EQ(frame.destination_mac, mac(0xc1));
    EXPECT_EQ(frame.flags, kFin | kPsh | kAck);
    EXPECT_EQ(frame.seq, down_);
    EXPECT_EQ(frame.ack, acked);
    EXPECT_EQ(text(frame), kLine);
  }
  void expect_reset(const ReadFrame& frame) const {
    EXPECT_EQ(frame.source, client_at_server_);
    EXPECT_EQ(frame.destination, server_);
    EXPECT_EQ(frame.vlan, vlan_);
    EXPECT_EQ(frame.flags & (kRst | kFin), kRst);
    EXPECT_EQ(frame.seq, up_ + header_) << "or the server would not believe it (RFC 5961 section 3.2)";
  }
  /// It goes on to the server as any segment.
  void expect_forwarded(const std::string& words) {
    ASSERT_NO_FATAL_FAILURE(client_says(words));
    EXPECT_EQ(count(Counter::kFlowsTold), 0u) << words;
  }
  /// Behind our FIN.
  uint32_t end() const { return down_ + static_cast<uint32_t>(kLine.size()) + 1; }

  uint64_t count(Counter counter) const { return bench_.counter(counter); }

  WorkerBench bench_;
  Endpoint client_, vip_, server_, client_at_server_;
  uint16_t vlan_ = 0, client_vlan_ = 0;
  uint32_t up_ = 0, down_ = 0, header_ = 0;
};

TEST_F(FarewellTest, TellsTheClientWhereNoMessageIsUnderWay) {
  struct {
    const char* what;
    std::vector<std::string> said;  // command, reply, command, ...
    std::string next;
  } const cases[] = {
      {"before EHLO", {}, "EHLO x\r\n"},
      {"before MAIL", {"EHLO x\r\n", "250-mx\r\n250 PIPELINING\r\n"}, "MAIL FROM:<a@example.org>\r\n"},
      {"after a refused MAIL", {"MAIL FROM:<>\r\n", "550 5.1.8 no\r\n"}, "MAIL FROM:<a@example.org>\r\n"},
      {"after RSET", {"MAIL FROM:<>\r\n", "250 ok\r\n", "RSET\r\n", "250 ok\r\n"}, "MAIL FROM:<>\r\n"},
      {"after rset", {"MAIL FROM:<>\r\n", "250 ok\r\n", "rset\r\n", "250 ok\r\n"}, "noop\r\n"},
      {"after another EHLO", {"MAIL FROM:<>\r\n", "250 ok\r\n", "EHLO x\r\n", "250 ok\r\n"}, "VRFY b\r\n"},
      {"after a refused message",
       {"MAIL FROM:<>\r\n", "250 ok\r\n", "RCPT TO:<b>\r\n", "250 ok\r\n", "DATA\r\n", "354 go\r\n", "x\r\n.\r\n",
        "550 5.7.1 no\r\n"},
       "RSET\r\n"},
      {"after the last chunk",
       {"MAIL FROM:<>\r\n", "250 ok\r\n", "RCPT TO:<b>\r\n", "250 ok\r\n", "BDAT 3 LAST\r\nabc", "250 queued\r\n"},
       "MAIL FROM:<>\r\n"},
      {"all of a message's commands at once",
       {"EHLO x\r\n", "250 PIPELINING\r\n"},
       "MAIL FROM:<>\r\nRCPT TO:<b>\r\nDATA\r\n"},
  };
  for (const bool v6 : {false, true}) {
    uint16_t port = 41000;
    for (const auto& each : cases) {
      SCOPED_TRACE(std::string(each.what) + (v6 ? ", IPv6" : ""));
      stay();
      connect({(v6 ? kClient6 : kClient).address, Be16::of(port++)}, v6 ? kVip6 : kVip);
      greet();
      for (size_t i = 0; i < each.said.size(); i += 2) exchange(each.said[i], each.said[i + 1]);
      leave();
      ASSERT_NO_FATAL_FAILURE(expect_told(each.next));
    }
  }
  EXPECT_EQ(count(Counter::kFlowsTold), 2 * std::size(cases));
  EXPECT_EQ(count(Counter::kRefusalsSent), 2 * std::size(cases));
  EXPECT_EQ(count(Counter::kResetsToBackend), 2 * std::size(cases));
  EXPECT_EQ(count(Counter::kResetsToClient), 0u);
  EXPECT_EQ(bench_.stats().backend_smtp[0][SmtpCounter::kEndedTold], std::size(cases));
  EXPECT_EQ(bench_.stats().backend_smtp[0][SmtpCounter::kMidSession421], 0u) << "that is of servers";
}

TEST_F(FarewellTest, ASessionGoesOnToTheEndOfItsMessageAndIsToldThen) {
  connect();
  greet();
  leave();
  bench_.to_clients();
  // It was greeted before, and speaks first where a message is under way already.
  stay();
  exchange("EHLO x\r\n", "250 ok\r\n");
  exchange("MAIL FROM:<a@example.org>\r\n", "250 ok\r\n");
  leave();
  exchange("RCPT TO:<b@example.net>\r\n", "250 ok\r\n");
  exchange("DATA\r\n", "354 go\r\n");
  client_says("Subject: x\r\n");
  client_says("MAIL FROM:<a line of the message>\r\n");
  client_says("NOOP\r\n.\r\n");
  server_says("250 queued\r\n");
  EXPECT_EQ(count(Counter::kFlowsTold), 0u);
  expect_told("MAIL FROM:<a@example.org>\r\n");
}

TEST_F(FarewellTest, LeavesAloneWhateverIsUnderWay) {
  struct {
    const char* what;
    std::vector<std::string> said;
    std::string unanswered;  // before the backend leaves
    std::string next;
  } const cases[] = {
      {"a transaction", {"MAIL FROM:<>\r\n", "250 ok\r\n"}, "", "RSET\r\n"},
      {"recipients", {"MAIL FROM:<>\r\n", "250 ok\r\n", "RCPT TO:<b>\r\n", "250 ok\r\n"}, "", "NOOP\r\n"},
      {"a chunk and another",
       {"MAIL FROM:<>\r\n", "250 ok\r\n", "BDAT 3\r\nabc", "250 ok\r\n"},
       "",
       "BDAT 3 LAST\r\nabc"},
      {"within a chunk", {"MAIL FROM:<>\r\n", "250 ok\r\n"}, "BDAT 30 LAST\r\n", "NOOP\r\n"},
      {"a message that is not answered",
       {"MAIL FROM:<>\r\n", "250 ok\r\n", "DATA\r\n", "354 go\r\n"},
       "x\r\n.\r\n",
       "MAIL FROM:<>\r\n"},
      {"a pipelined transaction", {"EHLO x\r\n", "250 ok\r\n"}, "MAIL FROM:<>\r\nRCPT TO:<b>\r\n", "DATA\r\n"},
      {"a command that is not answered", {}, "NOOP\r\n", "MAIL FROM:<>\r\n"},
      {"half a command", {}, "MAIL FR", "OM:<>\r\n"},
      {"AUTH", {"EHLO x\r\n", "250 AUTH PLAIN\r\n"}, "", "AUTH PLAIN dGVzdA==\r\n"},
      {"within AUTH", {"AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"}, "", "dGVzdA==\r\n"},
      {"STARTTLS", {"EHLO x\r\n", "250 STARTTLS\r\n"}, "", "STARTTLS\r\n"},
      {"TLS", {"STARTTLS\r\n", "220 go\r\n"}, "", std::string("\x16\x03\x01\0\x03\x01\0\0", 8)},
      {"QUIT", {"EHLO x\r\n", "250 ok\r\n"}, "", "QUIT\r\n"},
      {"a reply that says 421", {"NOOP\r\n", "421 4.4.2 idle\r\n"}, "", "MAIL FROM:<>\r\n"},
  };
  uint16_t port = 41000;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    stay();
    connect({kClient.address, Be16::of(port++)});
    greet();
    for (size_t i = 0; i < each.said.size(); i += 2) exchange(each.said[i], each.said[i + 1]);
    if (!each.unanswered.empty()) client_says(each.unanswered);
    leave();
    expect_forwarded(each.next);
    // Nor is any of it asked while it is silent.
    for (int i = 0; i < 40; i++) turns(500);
    EXPECT_TRUE(came().to_client.empty());
  }
  EXPECT_EQ(count(Counter::kClientsAsked), 0u);
}

TEST_F(FarewellTest, LeavesAloneWhatItDoesNotKnowOrCannotRead) {
  leave();
  connect(kClient, kTlsVip);
  expect_forwarded("NOOP\r\n");

  connect({kClient.address, Be16::of(40001)});
  expect_forwarded("NOOP\r\n");  // before the greeting

  connect({kClient.address, Be16::of(40002)});
  greet();
  up_ += 10;  // a segment went by another way
  bench_.client_sends(up().psh().payload("NOOP\r\n"));
  turns();
  EXPECT_EQ(came().to_server.size(), 1u);

  connect({kClient.address, Be16::of(40003)});
  greet();
  bench_.client_sends(up().ack(down_ - 4).psh().payload("NOOP\r\n"));  // which lacks some of the reply
  turns();
  EXPECT_EQ(came().to_server.size(), 1u);

  channel::PutService unwatched{};
  unwatched.flags = channel::kServiceUnobserved;
  configure(unwatched);
  leave();
  connect({kClient.address, Be16::of(40004)});
  greet();
  expect_forwarded("NOOP\r\n");
  EXPECT_EQ(count(Counter::kFlowsTold), 0u);
}

TEST_F(FarewellTest, QuitIsAnsweredByTheServer) {
  connect();
  greet();
  leave();
  exchange("QUIT\r\n", "221 bye\r\n");
  ASSERT_TRUE(bench_.backend_to_client(down().fin()));
  down_++;
  ASSERT_TRUE(bench_.client_to_backend(up().fin()));
  EXPECT_EQ(count(Counter::kFlowsTold), 0u);
}

TEST_F(FarewellTest, TheEndIsAsThatOfAnyOther421) {
  connect();
  greet();
  leave();
  expect_told("MAIL FROM:<>\r\n");
  bench_.client_sends(up().ack(end()));
  turns();
  EXPECT_TRUE(came().to_client.empty());
  bench_.client_sends(up().ack(end()).psh().payload("QUIT\r\n"));
  up_ += 6;
  bench_.client_sends(up().ack(end()).fin());
  turns();
  Came out = came();
  ASSERT_EQ(out.to_client.size(), 2u);
  EXPECT_EQ(out.to_client[1].flags, kAck);
  EXPECT_EQ(out.to_client[1].ack, up_ + 1);
  EXPECT_TRUE(out.to_server.empty());
  turns(60'000);
  EXPECT_TRUE(came().to_client.empty());
  EXPECT_EQ(count(Counter::kRefusalsAcknowledged), 1u);
  EXPECT_EQ(count(Counter::kRefusalsResent), 0u);
}

TEST_F(FarewellTest, A421ThatWasLostIsSentAgain) {
  connect();
  greet();
  leave();
  const uint32_t before = up_;
  expect_told("MAIL FROM:<>\r\n");
  // The client says it again, and is told that it has been heard.
  bench_.client_sends(up().seq(before).psh().payload("MAIL FROM:<>\r\n"));
  turns();
  Came out = came();
  ASSERT_EQ(out.to_client.size(), 1u);
  EXPECT_EQ(out.to_client[0].flags, kAck);
  EXPECT_EQ(out.to_client[0].ack, up_);
  EXPECT_TRUE(out.to_server.empty());
  uint32_t again = 0;
  for (int i = 0; i < 400; i++) {
    turns(100);
    out = came();
    for (const ReadFrame& frame : out.to_client) {
      expect_line(frame, up_);
      again++;
    }
    EXPECT_TRUE(out.to_server.empty());
  }
  EXPECT_EQ(again, Responder::kTries - 1);
  // It gives up, and a client that is there after all does not hang.
  bench_.client_sends(up().psh().payload("NOOP\r\n"));
  turns();
  out = came();
  ASSERT_EQ(out.to_client.size(), 1u);
  EXPECT_EQ(out.to_client[0].flags & kRst, kRst);
  EXPECT_EQ(out.to_client[0].seq, down_);
  EXPECT_TRUE(out.to_server.empty());
}

TEST_F(FarewellTest, TheServerIsAnsweredWithAResetFromThenOn) {
  connect();
  greet();
  leave();
  expect_told("MAIL FROM:<>\r\n");
  bench_.backend_sends(down().ack(1001).psh().payload("421 4.4.2 timeout\r\n"));
  turns();
  const Came out = came();
  ASSERT_EQ(out.to_server.size(), 1u);
  EXPECT_EQ(out.to_server[0].flags & kRst, kRst);
  EXPECT_TRUE(out.to_client.empty());
}

TEST_F(FarewellTest, TheSameClientMayBeginAnewAtOnce) {
  connect();
  greet();
  leave();
  expect_told("MAIL FROM:<>\r\n");
  stay();
  EXPECT_TRUE(bench_.establish(kClient, kVip, 900'000, 700'000));
  turns(20'000);
  EXPECT_TRUE(came().to_client.empty());
}

TEST_F(FarewellTest, ASilentClientIsAskedAndToldWhenItAnswers) {
  connect();
  greet();
  send_message();
  leave();
  std::vector<ReadFrame> asked;
  for (int i = 0; i < 20 && asked.empty(); i++) {
    turns(500);
    const Came out = came();
    asked = out.to_client;
    EXPECT_TRUE(out.to_server.empty()) << "nothing of it is for the server";
  }
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].flags, kAck);
  EXPECT_EQ(asked[0].seq, down_ - 1) << "a keep-alive";
  EXPECT_EQ(asked[0].ack, up_);
  EXPECT_TRUE(asked[0].payload.empty());
  EXPECT_GE(count(Counter::kClientsAsked), 1u);
  bench_.client_sends(up());
  turns();
  const Came out = came();
  ASSERT_EQ(out.to_client.size(), 1u);
  expect_line(out.to_client[0], up_);
  ASSERT_EQ(out.to_server.size(), 1u);
  expect_reset(out.to_server[0]);
  EXPECT_EQ(count(Counter::kFlowsTold), 1u);
}

TEST_F(FarewellTest, ASilentClientThatLacksTheReplyIsNotTold) {
  connect();
  greet();
  exchange("EHLO x\r\n", "250 ok\r\n");
  exchange("MAIL FROM:<>\r\n", "250 ok\r\n");
  exchange("DATA\r\n", "354 go\r\n");
  client_says("x\r\n.\r\n");
  const uint32_t before = down_;
  bench_.backend_sends(down().psh().payload("250 queued\r\n"));  // and it is lost behind us
  turns();
  bench_.to_clients();
  leave();
  for (int i = 0; i < 30; i++) {
    turns(500);
    for (const ReadFrame& asked : bench_.to_clients()) {
      EXPECT_EQ(asked.seq, before + 11);
      bench_.client_sends(up().ack(before));
    }
  }
  EXPECT_GE(count(Counter::kClientsAsked), 1u);
  EXPECT_EQ(count(Counter::kFlowsTold), 0u) << "it would send the message once more";
  bench_.to_backends();
  server_says("250 queued\r\n");
}

TEST_F(FarewellTest, ManySilentClientsAreAskedAtABoundedRate) {
  constexpr uint16_t kClients = 600;
  for (uint16_t n = 0; n < kClients; n++) {
    connect({kClient.address, Be16::of(static_cast<uint16_t>(20000 + n))});
    greet();
  }
  turns(Farewell::kSilentMs);
  leave();
  bench_.to_clients();
  for (int i = 0; i < 10; i++) turns(100);
  EXPECT_LE(bench_.to_clients().size(), 2 * Farewell::kAskedPerSecond);
  EXPECT_GE(count(Counter::kClientsAsked), 100u);
}

TEST_F(FarewellTest, StampsWhatItSaysWhereTheClientDoes) {
  connect();
  greet();
  leave();
  bench_.client_sends(up().psh().payload("NOOP\r\n").tcp_options(TcpTraits::stamp(1234, 777)));
  turns();
  for (int i = 0; i < 2; i++) {  // also when it is sent again
    const Came out = came();
    ASSERT_EQ(out.to_client.size(), 1u);
    EXPECT_EQ(stamp_of(out.to_client[0]), (Stamp{777, 1234})) << "what it has seen of the server is not old";
    turns(1300);
  }
}

TEST_F(FarewellTest, LeavesARecordThatSaysSo) {
  connect();
  greet();
  send_message();
  leave();
  expect_told("MAIL FROM:<>\r\n");
  const auto records = bench_.sessions();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].end, SessionEnd::kTold);
  EXPECT_EQ(records[0].by, SessionParty::kBalancer);
  EXPECT_EQ(records[0].notes.messages_accepted, 1u);
  EXPECT_EQ(records[0].notes.flags & channel::kSessionTransaction, 0u);
  EXPECT_EQ(records[0].notes.flags & channel::kSession421, 0u) << "that is what a server says";
}

TEST_F(FarewellTest, InVlans) {
  for (const uint16_t client_vlan : {0, 7}) {
    configure({}, 12);
    stay();
    connect({kClient.address, Be16::of(static_cast<uint16_t>(41000 + client_vlan))}, kVip, client_vlan);
    greet();
    leave();
    expect_told("EHLO x\r\n");
  }
}

/// Flows whose two ends do not count alike, or do not know each other's addresses.
TEST_F(FarewellTest, InTheNumbersOfEachEnd) {
  channel::PutService proxied{}, fullnat{}, both{};
  proxied.proxy = channel::ProxyHeader::kV2;
  fullnat.forwarding = channel::Forwarding::kFullnat;
  both.proxy = channel::ProxyHeader::kV1;
  both.forwarding = channel::Forwarding::kFullnat;
  uint16_t port = 41000;
  for (const channel::PutService& service : {proxied, fullnat, both}) {
    configure(service);
    for (const bool v6 : {false, true}) {
      SCOPED_TRACE(port);
      stay();
      connect({(v6 ? kClient6 : kClient).address, Be16::of(port++)}, v6 ? kVip6 : kVip);
      EXPECT_EQ(header_ != 0, service.proxy != channel::ProxyHeader::kNone);
      greet();
      send_message();
      leave();
      ASSERT_NO_FATAL_FAILURE(expect_told("MAIL FROM:<>\r\n"));
    }
  }
}

class FarewellOfManyWorkersTest : public FarewellTest {
 protected:
  FarewellOfManyWorkersTest() : FarewellTest({.workers = 2, .spread = Spread::kHandover}) {}
};

TEST_F(FarewellOfManyWorkersTest, TheOwnerOfTheFlowTells) {
  for (uint16_t port = 41000; port < 41008; port++) {
    stay();
    connect({kClient.address, Be16::of(port)});
    greet();
    leave();
    ASSERT_NO_FATAL_FAILURE(expect_told("EHLO x\r\n"));
    bench_.client_sends(up().ack(end()).fin());
    turns();
    EXPECT_EQ(came().to_client.size(), 1u);
  }
  EXPECT_GT(count(Counter::kHandedIn), 0u);
}

using FarewellOfCookiesTest = SynProxyTest;

TEST_F(FarewellOfCookiesTest, CountsAsEachEndDoes) {
  const Session session = open();
  const std::string greeting = "220 mx\r\n", command = "EHLO x\r\n";
  const auto size = [](const std::string& words) { return static_cast<uint32_t>(words.size()); };
  backend(session.down(kServerIsn + 1, kIsn + 1).psh().payload(greeting));
  const uint32_t next = session.cookie + 1 + size(greeting);
  client(session.up(kIsn + 1, next).window(502));
  for (const uint16_t id : {0, 1}) {
    bench_.put_backend(id, backend4(id), channel::kBackendReachable | channel::kBackendLeaving);
  }
  turns();
  const Came told = client(session.up(kIsn + 1, next).window(502).psh().payload(command));
  ASSERT_EQ(told.to_clients.size(), 1u);
  EXPECT_EQ(text(told.to_clients[0]), kLine);
  EXPECT_EQ(told.to_clients[0].seq, next);
  EXPECT_EQ(told.to_clients[0].ack, kIsn + 1 + size(command));
  ASSERT_EQ(told.to_backends.size(), 1u);
  EXPECT_EQ(told.to_backends[0].flags & kRst, kRst);
  EXPECT_EQ(told.to_backends[0].seq, kIsn + 1);
  EXPECT_EQ(told.to_backends[0].ack, kServerIsn + 1 + size(greeting));
}

TEST(FarewellAfterARestart, AdoptedDialoguesAreKnownOrLeftAlone) {
  const Endpoint other{kClient.address, Be16::of(40001)};
  WorkerBench first;
  first.put_backend(0, backend4(0));
  first.put_service(0, kVip, {0});
  first.turn();
  for (const Endpoint& client : {kClient, other}) {
    ASSERT_TRUE(first.establish(client, kVip));
    first.backend_to_client(Frame().from(backend4(0)).to(client).seq(5001).ack(1001).psh().payload("220 mx\r\n"));
    first.client_to_backend(Frame().from(client).to(kVip).seq(1001).ack(5009));
  }
  // Of the second, half a command is on the way, and what was read of it dies with the process.
  first.client_to_backend(Frame().from(other).to(kVip).seq(1001).ack(5009).psh().payload("MAIL FR"));
  WorkerBench second({.flow_memory = first.flow_memory()});
  second.put_backend(0, backend4(0), channel::kBackendReachable | channel::kBackendLeaving);
  second.put_service(0, kVip, {0});
  second.turn();
  EXPECT_TRUE(second.client_to_backend(Frame().from(other).to(kVip).seq(1008).ack(5009).psh().payload("OM:<>\r\n")));
  EXPECT_EQ(second.counter(Counter::kFlowsTold), 0u);
  second.client_sends(Frame().from(kClient).to(kVip).seq(1001).ack(5009).psh().payload("EHLO x\r\n"));
  second.turn();
  const auto told = second.to_clients();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(text(told[0]), kLine);
  EXPECT_EQ(second.counter(Counter::kFlowsTold), 1u);
}

}  // namespace
}  // namespace sluice::testing
