// SPDX-License-Identifier: Apache-2.0
//
// Sessions of a backend that leaves: where their clients hear 421, where they do not, and what both ends get then,
// packet by packet (RFC 5321 sections 3.8 and 4.1.1.4; RFC 9293).
#include "tests/dataplane/support/farewell_fixture.h"

namespace sluice::testing {
namespace {

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

}  // namespace
}  // namespace sluice::testing
