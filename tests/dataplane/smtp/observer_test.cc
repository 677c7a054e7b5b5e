// SPDX-License-Identifier: Apache-2.0
//
// Dialogues as tables: who says what, and what must have been counted. Each is played whole, with every segment sent
// twice, cut in two at every byte, and byte by byte, and must come to the same.
#include <gtest/gtest.h>

#include <random>

#include "tests/dataplane/support/dialogue_player.h"

namespace sluice::testing {
namespace {

struct Case {
  const char* description;
  uint16_t port;
  std::vector<Move> dialogue;
  Counts expected;
};

const std::string kEhloReply =
    "250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n"
    "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 CHUNKING\r\n";
const std::string kMessage = "Subject: x\r\n\r\nHello.\r\n..\r\n. not the end\r\n.\r\n";

/// Moves up to the reply to EHLO, and then `rest`.
std::vector<Move> after_ehlo(std::vector<Move> rest) {
  std::vector<Move> out{server("220 mx.example.net ESMTP Postfix\r\n"), client("EHLO client.example.org\r\n"),
                        server(kEhloReply)};
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

/// Moves up to 354, and then `rest`.
std::vector<Move> after_data(std::vector<Move> rest) {
  std::vector<Move> out = after_ehlo({client("MAIL FROM:<a@example.org>\r\n"), server("250 2.1.0 Ok\r\n"),
                                      client("RCPT TO:<b@example.net>\r\n"), server("250 2.1.5 Ok\r\n"),
                                      client("DATA\r\n"), server("354 End data with <CR><LF>.<CR><LF>\r\n")});
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

const std::string kHello = tls_record(22, 512), kServerHello = tls_record(22, 122), kCcs = tls_record(20, 1);
const std::string kAppData = tls_record(23, 70), kCertificates = tls_record(23, 3000);

const std::vector<Case> kCases{
    {"a message, one command at a time",
     25,
     after_data({client(kMessage), server("250 2.0.0 Ok: queued as 1234\r\n"), client("QUIT\r\n"),
                 server("221 2.0.0 Bye\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1}, {"messages{result=\"accepted\"}", 1}, {"ended{how=\"quit\"}", 1}}},
    {"two messages and RSET in one session",
     587,
     after_data({client(kMessage), server("250 Ok\r\n"), client("RSET\r\n"), server("250 Ok\r\n"),
                 client("mail from:<>\r\n"), server("250 Ok\r\n"), client("rcpt to:<b@example.net>\r\n"),
                 server("451 4.7.1 Greylisted, try later\r\n"), client("RCPT TO:<c@example.net>\r\n"),
                 server("250 Ok\r\n"), client("DATA\r\n"), server("354 go\r\n"), client(".\r\n"),
                 server("552 5.2.2 Mailbox full\r\n"), client("QUIT\r\n"), kClientFin, server("221 Bye\r\n"),
                 kServerFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"messages{result=\"accepted\"}", 1},
      {"messages{result=\"permanent\"}", 1},
      {"refusals{class=\"4xx\",step=\"rcpt\"}", 1},
      {"refusals{class=\"5xx\",step=\"end_of_data\"}", 1},
      {"enhanced_codes{code=\"4.7.1\"}", 1},
      {"enhanced_codes{code=\"5.2.x\"}", 1},
      {"refusal_reasons{reason=\"greylist\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"ended{how=\"quit\"}", 1}}},
    {"commands and replies pipelined, the dot with QUIT",
     25,
     after_ehlo({client("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\n"
                        "RCPT TO:<d@example.net>\r\nDATA\r\n"),
                 server("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n550 5.1.1 <c@example.net>: User unknown\r\n"
                        "450-4.2.1 Mailbox\r\n450 4.2.1 busy\r\n354 go on\r\n"),
                 client(kMessage + "QUIT\r\n"), server("250 Ok\r\n221 Bye\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"messages{result=\"accepted\"}", 1},
      {"refusals{class=\"4xx\",step=\"rcpt\"}", 1},
      {"refusals{class=\"5xx\",step=\"rcpt\"}", 1},
      {"enhanced_codes{code=\"4.2.x\"}", 1},
      {"enhanced_codes{code=\"5.1.1\"}", 1},
      {"refusal_reasons{reason=\"no_recipient\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"ended{how=\"quit\"}", 1}}},
    {"the next message pipelined behind the dot",
     25,
     after_data({client(kMessage + "MAIL FROM:<a@example.org>\r\nRCPT TO:<x@example.net>\r\nDATA\r\n"),
                 server("451 4.3.0 queue file write error\r\n250 Ok\r\n554 5.7.1 Relay access denied\r\n"
                        "503 5.5.1 no valid recipients\r\n"),
                 client("QUIT\r\n"), server("221 Bye\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"messages{result=\"temporary\"}", 1},
      {"refusals{class=\"4xx\",step=\"end_of_data\"}", 1},
      {"refusals{class=\"5xx\",step=\"rcpt\"}", 1},
      {"refusals{class=\"5xx\",step=\"data\"}", 1},
      {"enhanced_codes{code=\"4.3.0\"}", 1},
      {"enhanced_codes{code=\"5.7.1\"}", 1},
      {"enhanced_codes{code=\"5.5.x\"}", 1},
      {"refusal_reasons{reason=\"blocked\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 2},
      {"ended{how=\"quit\"}", 1}}},
    {"lone LF on both sides",
     25,
     {server("220-mx\n220 mx ESMTP\n"), client("HELO x\n"), server("250 mx\n"), client("MAIL FROM:<>\n"),
      server("250\n"), client("RCPT TO:<b@example.net>\n"), server("550\n"), client("RCPT TO:<c@example.net>\n"),
      server("250 ok\n"), client("DATA\n"), server("354 go\n"), client("Subject: x\n\nHello\n.\n"), server("250 ok\n"),
      client("QUIT\n"), server("221 bye\n"), kServerFin, kClientFin},
     {{"greetings{code=\"2xx\"}", 1},
      {"refusals{class=\"5xx\",step=\"rcpt\"}", 1},
      {"enhanced_codes{code=\"none\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"messages{result=\"accepted\"}", 1},
      {"ended{how=\"quit\"}", 1}}},
    {"a greeting of several lines, a teaser first",
     25,
     {server("220-mx.example.net ESMTP\r\n"), wait_ms(6000), server("220-second\r\n220 third\r\n"), client("QUIT\r\n"),
      server("221 bye\r\n"), kServerFin, kClientFin},
     {{"greetings{code=\"2xx\"}", 1}, {"ended{how=\"quit\"}", 1}}},
    {"an early talker, who says EHLO before the greeting",
     25,
     {server("220-teaser\r\n"), client("EHLO bot\r\n"), client("MAIL FROM:<bot@example.org>\r\n"),
      server("220 mx\r\n" + kEhloReply + "554 5.7.1 blocked using dnsbl.example.org\r\n"), kClientReset},
     {{"early_talkers", 1},
      {"greetings{code=\"2xx\"}", 1},
      {"refusals{class=\"5xx\",step=\"mail\"}", 1},
      {"enhanced_codes{code=\"5.7.1\"}", 1},
      {"refusal_reasons{reason=\"blocked\"}", 1},
      {"ended{how=\"reset_by_client\"}", 1}}},
    {"421 as the greeting",
     25,
     {server("421 4.7.0 mx.example.net Error: too many connections from 192.0.2.1\r\n"), kServerFin, kClientFin},
     {{"greetings{code=\"421\"}", 1},
      {"refusals{class=\"4xx\",step=\"connect\"}", 1},
      {"enhanced_codes{code=\"4.7.0\"}", 1},
      {"refusal_reasons{reason=\"rate_limit\"}", 1},
      {"ended{how=\"refused\"}", 1}}},
    {"421 without an enhanced code: the text tells why",
     25,
     {server("421 Too many concurrent SMTP connections; please try again later.\r\n"), kServerFin, kClientFin},
     {{"greetings{code=\"421\"}", 1},
      {"refusals{class=\"4xx\",step=\"connect\"}", 1},
      {"enhanced_codes{code=\"none\"}", 1},
      {"refusal_reasons{reason=\"overload\"}", 1},
      {"ended{how=\"refused\"}", 1}}},
    {"450 as the greeting",
     25,
     {server("450 4.3.2 try again\r\n"), client("QUIT\r\n"), server("221 bye\r\n"), kServerFin, kClientFin},
     {{"greetings{code=\"4xx\"}", 1},
      {"refusals{class=\"4xx\",step=\"connect\"}", 1},
      {"enhanced_codes{code=\"4.3.2\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"ended{how=\"refused\"}", 1}}},
    {"554 as the greeting, then 503 to everything",
     25,
     {server("554 No SMTP service here\r\n"), client("EHLO x\r\n"), server("503 bad sequence\r\n"), kClientFin,
      kServerFin},
     {{"greetings{code=\"5xx\"}", 1},
      {"refusals{class=\"5xx\",step=\"connect\"}", 1},
      {"enhanced_codes{code=\"none\"}", 1},
      {"refusal_reasons{reason=\"shutdown\"}", 1},
      {"ended{how=\"refused\"}", 1}}},
    {"no greeting",
     25,
     {wait_ms(30'000), kClientFin, kServerFin},
     {{"greetings{code=\"none\"}", 1}, {"ended{how=\"without_quit\"}", 1}}},
    {"half a greeting",
     25,
     {server("220-mx.exam"), kServerReset},
     {{"greetings{code=\"none\"}", 1}, {"ended{how=\"reset_by_server\"}", 1}}},
    {"a web server",
     25,
     {server("HTTP/1.1 400 Bad Request\r\n\r\n"), kServerFin, kClientFin},
     {{"greetings{code=\"other\"}", 1}, {"flows_lost_sight", 1}, {"ended{how=\"unknown\"}", 1}}},
    {"a greeting that is no greeting",
     25,
     {server("354 what?\r\n"), kServerFin, kClientFin},
     {{"greetings{code=\"other\"}", 1}, {"flows_lost_sight", 1}, {"ended{how=\"unknown\"}", 1}}},
    {"421 in mid-session, in answer to RCPT",
     25,
     after_ehlo({client("MAIL FROM:<>\r\n"), server("250 ok\r\n"), client("RCPT TO:<b@example.net>\r\n"),
                 server("421 4.3.0 Server shutting down.\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"mid_session_421", 1},
      {"refusals{class=\"4xx\",step=\"rcpt\"}", 1},
      {"enhanced_codes{code=\"4.3.0\"}", 1},
      {"refusal_reasons{reason=\"shutdown\"}", 1},
      {"ended{how=\"refused\"}", 1}}},
    {"421 for a client that was silent too long",
     25,
     after_ehlo(
         {wait_ms(300'000), server("421 4.4.2 mx.example.net Error: timeout exceeded\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"mid_session_421", 1},
      {"refusals{class=\"4xx\",step=\"unknown\"}", 1},
      {"enhanced_codes{code=\"4.4.2\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"ended{how=\"refused\"}", 1}}},
    {"refused in the midst of a message",
     25,
     after_data({client("Subject: too long\r\n\r\nmore and more\r\n"), server("552 5.3.4 Message too big\r\n"),
                 client("and more\r\n.\r\n"), client("QUIT\r\n"), server("221 bye\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"messages{result=\"permanent\"}", 1},
      {"refusals{class=\"5xx\",step=\"end_of_data\"}", 1},
      {"enhanced_codes{code=\"5.other\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"ended{how=\"quit\"}", 1}}},
    {"a session that the client just drops",
     25,
     after_ehlo({kClientFin, kServerFin}),
     {{"greetings{code=\"2xx\"}", 1}, {"ended{how=\"without_quit\"}", 1}}},
    {"a session that falls silent",
     25,
     after_data({client("Subj"), wait_ms(7'440'000), kIdle}),
     {{"greetings{code=\"2xx\"}", 1}, {"ended{how=\"idle\"}", 1}}},
    {"AUTH LOGIN with a wrong password",
     587,
     after_ehlo({client("AUTH LOGIN\r\n"), server("334 VXNlcm5hbWU6\r\n"), client("dGVzdA==\r\n"),
                 server("334 UGFzc3dvcmQ6\r\n"), client("QUIT\r\n"),
                 server("535 5.7.8 Error: authentication failed\r\n"), client("AUTH PLAIN AHRlc3QAdGVzdA==\r\n"),
                 server("235 2.7.0 Authentication successful\r\n"), client("MAIL FROM:<a@example.org>\r\n"),
                 server("530 5.7.0 Must issue a STARTTLS command first\r\n"), kClientFin, kServerFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"auth{result=\"failed\"}", 1},
      {"auth{result=\"accepted\"}", 1},
      {"refusals{class=\"5xx\",step=\"auth\"}", 1},
      {"refusals{class=\"5xx\",step=\"mail\"}", 1},
      {"enhanced_codes{code=\"5.7.8\"}", 1},
      {"enhanced_codes{code=\"5.7.x\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 2},
      {"ended{how=\"without_quit\"}", 1}}},
    {"chunks instead of DATA",
     25,
     after_ehlo(
         {client("MAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nBDAT 12\r\nQUIT\r\nQUIT\r\nBDAT 9 LAST\r\n.\r\nQUIT\r\n"),
          server("250 ok\r\n250 ok\r\n250 12 octets\r\n"), server("250 2.0.0 queued\r\n"), client("NOOP\r\n"),
          server("454 no\r\n"), client("BDAT 0 last\r\n"), server("554 5.5.1 no transaction\r\n"), client("Quit\r\n"),
          server("221 bye\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"messages{result=\"accepted\"}", 1},
      {"messages{result=\"permanent\"}", 1},
      {"refusals{class=\"4xx\",step=\"other\"}", 1},
      {"refusals{class=\"5xx\",step=\"end_of_data\"}", 1},
      {"enhanced_codes{code=\"none\"}", 1},
      {"enhanced_codes{code=\"5.5.x\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 2},
      {"ended{how=\"quit\"}", 1}}},
    {"STARTTLS, then TLS 1.3",
     587,
     after_ehlo({client("STARTTLS\r\n"), server("220 2.0.0 Ready to start TLS\r\n"), client(kHello),
                 server(kServerHello + kCcs + kCertificates), client(kCcs + kAppData), client(kAppData),
                 server(kAppData), client("\x15\x03\x03 garbage that is not looked at"), kClientFin, kServerFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"starttls{result=\"accepted\"}", 1},
      {"tls{state=\"begun\"}", 1},
      {"tls{state=\"established\"}", 1},
      {"ended{how=\"tls\"}", 1}}},
    {"STARTTLS, then TLS 1.2 and a warning that does not matter",
     25,
     after_ehlo({client("STARTTLS\r\n"), server("220 go\r\n"), client(kHello),
                 server(tls_record(21, "\x01\x70") + kServerHello + tls_record(22, 3000)),
                 client(tls_record(22, 66) + kCcs + tls_record(22, 40)), server(kCcs + tls_record(22, 40)),
                 client(kAppData), server(kAppData), kClientFin, kServerFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"starttls{result=\"accepted\"}", 1},
      {"tls{state=\"begun\"}", 1},
      {"tls{state=\"established\"}", 1},
      {"ended{how=\"tls\"}", 1}}},
    {"TLS that fails: no common version",
     25,
     after_ehlo({client("STARTTLS\r\n"), server("220 go\r\n"), client(kHello), server(tls_record(21, "\x02\x46")),
                 kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"starttls{result=\"accepted\"}", 1},
      {"tls{state=\"begun\"}", 1},
      {"tls{state=\"failed\"}", 1},
      {"ended{how=\"tls\"}", 1}}},
    {"TLS 1.3 that fails: the client does not like the certificate, and says so in secret",
     465,
     {client(kHello), server(kServerHello + kCcs + kCertificates), client(kCcs + tls_record(23, 19)), kClientFin,
      kServerFin},
     {{"tls{state=\"begun\"}", 1}, {"tls{state=\"failed\"}", 1}, {"ended{how=\"tls\"}", 1}}},
    {"TLS that fails: the client hangs up",
     465,
     {client(kHello), server(kServerHello), kClientReset},
     {{"tls{state=\"begun\"}", 1}, {"tls{state=\"failed\"}", 1}, {"ended{how=\"reset_by_client\"}", 1}}},
    {"implicit TLS: the client speaks first, and is no early talker",
     465,
     {client(kHello), server(kServerHello + kCcs + kCertificates), client(kCcs + kAppData), server(kAppData),
      client(kAppData), kClientFin, kServerFin},
     {{"tls{state=\"begun\"}", 1}, {"tls{state=\"established\"}", 1}, {"ended{how=\"tls\"}", 1}}},
    {"plain SMTP where TLS is due",
     465,
     {client("EHLO x\r\n"), kServerFin, kClientFin},
     {{"flows_lost_sight", 1}, {"ended{how=\"unknown\"}", 1}}},
    {"STARTTLS refused",
     587,
     after_ehlo({client("STARTTLS\r\n"), server("454 4.7.0 TLS not available\r\n"), client("starttls \r\n"),
                 server("501 no\r\n"), client("QUIT\r\n"), server("221 bye\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"starttls{result=\"refused\"}", 2},
      {"refusals{class=\"4xx\",step=\"starttls\"}", 1},
      {"refusals{class=\"5xx\",step=\"starttls\"}", 1},
      {"enhanced_codes{code=\"4.7.0\"}", 1},
      {"enhanced_codes{code=\"none\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 2},
      {"ended{how=\"quit\"}", 1}}},
    {"something pipelined behind STARTTLS",
     587,
     after_ehlo({client("STARTTLS\r\nEHLO x\r\n"), server("220 go\r\n"), kClientFin, kServerFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"starttls{result=\"accepted\"}", 1},
      {"flows_lost_sight", 1},
      {"ended{how=\"unknown\"}", 1}}},
    {"a server that says more behind STARTTLS's 220, before the client's first record",
     587,
     after_ehlo({client("STARTTLS\r\n"), server("220 go\r\n"), server("250 mx\r\n"), kServerFin, kClientFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"starttls{result=\"accepted\"}", 1},
      {"flows_lost_sight", 1},
      {"ended{how=\"unknown\"}", 1}}},
    {"a bot that says it all at once",
     25,
     {client("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: x\r\nMAIL order\r\n.\r\nQUIT\r\n"),
      server("220 mx\r\n" + kEhloReply + "250 ok\r\n250 ok\r\n354 go\r\n"), server("250 queued\r\n221 bye\r\n"),
      kServerFin, kClientFin},
     {{"early_talkers", 1},
      {"greetings{code=\"2xx\"}", 1},
      {"messages{result=\"accepted\"}", 1},
      {"ended{how=\"quit\"}", 1}}},
    {"a reply that no command waits for",
     25,
     after_ehlo({server("250 surprise\r\n"), client("MAIL FROM:<>\r\n"), server("451 4.3.1 full\r\n"), kClientFin,
                 kServerFin}),
     {{"greetings{code=\"2xx\"}", 1},
      {"replies_unknown", 2},
      {"refusals{class=\"4xx\",step=\"unknown\"}", 1},
      {"enhanced_codes{code=\"4.3.1\"}", 1},
      {"refusal_reasons{reason=\"unknown\"}", 1},
      {"ended{how=\"unknown\"}", 1}}},
    {"garbage in mid-session",
     25,
     after_ehlo({client("NOOP\r\n"), server("25x ok\r\n"), kClientFin, kServerFin}),
     {{"greetings{code=\"2xx\"}", 1}, {"replies_unknown", 1}, {"flows_lost_sight", 1}, {"ended{how=\"unknown\"}", 1}}},
};

class SmtpObserverCases : public ::testing::TestWithParam<Case> {
 protected:
  DialoguePlayer player_;
};

TEST_P(SmtpObserverCases, CountsTheSameHoweverSegmentsAreCut) {
  const Case& c = GetParam();
  SCOPED_TRACE(c.description);
  ASSERT_EQ(player_.play(c.dialogue, c.port, {}), c.expected);
  ASSERT_EQ(player_.play(c.dialogue, c.port, {.again = true}), c.expected) << "segments sent twice";
  const Counts expected = without_reasons(c.expected);
  for (size_t at = 1; at < DialoguePlayer::bytes_of(c.dialogue); at++) {
    ASSERT_EQ(without_reasons(player_.play(c.dialogue, c.port, {.cut_at = at})), expected) << "cut at " << at;
  }
  for (const bool again : {false, true}) {
    const DialoguePlayer::Way way{.cut_at = DialoguePlayer::kEverywhere, .again = again};
    ASSERT_EQ(without_reasons(player_.play(c.dialogue, c.port, way)), expected) << "byte by byte";
  }
}

INSTANTIATE_TEST_SUITE_P(Table, SmtpObserverCases, ::testing::ValuesIn(kCases));

class SmtpObserverTest : public ::testing::Test {
 protected:
  void SetUp() override { player_.open(25); }

  void greet() {
    player_.say(false, "220 mx ESMTP\r\n");
    player_.say(true, "EHLO x\r\n");
    player_.say(false, kEhloReply);
  }
  uint64_t counted(channel::SmtpCounter counter) const { return player_.counters()[counter]; }

  DialoguePlayer player_;
};

using channel::SmtpCounter, channel::SmtpStep;

TEST_F(SmtpObserverTest, MeasuresTheTimeToTheGreetingsLastLine) {
  player_.advance(3);
  player_.say(false, "220-mx\r\n");
  EXPECT_EQ(player_.counters().greeting.sum_ms, 0u);
  player_.advance(97);
  player_.say(false, "220 mx\r\n");
  EXPECT_EQ(player_.counters().greeting.sum_ms, 100u);
  EXPECT_EQ(player_.counters().greeting.buckets[7], 1u);  // below 128 ms
  player_.advance(900);
  player_.fin(true);
  player_.fin(false);
  EXPECT_EQ(player_.counters().session.sum_ms, 1000u);
  EXPECT_EQ(player_.counters().connect.buckets[0], 1u);
}

TEST_F(SmtpObserverTest, PassesOverMessagesAndTls) {
  greet();
  for (const char* line : {"MAIL FROM:<>\r\n", "RCPT TO:<b@example.net>\r\n", "DATA\r\n"}) {
    player_.say(true, line);
    player_.say(false, line[0] == 'D' ? "354 go\r\n" : "250 ok\r\n");
  }
  player_.say(true, "Subject: large\r\n\r\nx");
  const uint64_t before = player_.looked_at();
  for (int i = 0; i < 1000; i++) player_.say(true, std::string(1460, 'x'), 0);
  EXPECT_EQ(player_.looked_at(), before);
  player_.say(true, "xx\r\n.\r\n");
  player_.say(false, "250 ok\r\n");
  EXPECT_EQ(counted(SmtpCounter::kMessagesAccepted), 1u);
  player_.say(true, "STARTTLS\r\n");
  player_.say(false, "220 go\r\n");
  player_.say(true, kHello);
  player_.say(false, kServerHello);
  player_.say(true, kAppData);
  player_.say(false, kAppData);
  ASSERT_EQ(player_.phase(), SmtpPhase::kTlsEstablished);
  const uint64_t established = player_.looked_at();
  for (int i = 0; i < 1000; i++) {
    player_.say(true, kAppData);
    player_.say(false, kAppData);
  }
  EXPECT_EQ(player_.looked_at(), established);
}

TEST_F(SmtpObserverTest, DoesNotGuessAfterAGapInTheClientsBytes) {
  greet();
  player_.say_at(true, 30, "RCPT TO:<b@example.net>\r\n");  // the segment before it is missing
  player_.say(false, "451 4.3.0 later\r\n");
  EXPECT_EQ(counted(refusal(SmtpStep::kUnknown, false)), 1u);
  EXPECT_EQ(counted(SmtpCounter::kRepliesUnknown), 1u);
  EXPECT_EQ(counted(SmtpCounter::kFlowsLostSight), 0u);
  // 354 can only answer DATA: from there on all is known again.
  player_.say(true, "DATA\r\n");
  player_.say(false, "354 go\r\n");
  player_.say(true, "x\r\n.\r\n");
  player_.say(false, "250 ok\r\n");
  player_.say(true, "MAIL FROM:<>\r\n");
  player_.say(false, "452 4.3.1 full\r\n");
  EXPECT_EQ(counted(SmtpCounter::kMessagesAccepted), 1u);
  EXPECT_EQ(counted(refusal(SmtpStep::kMail, false)), 1u);
}

TEST_F(SmtpObserverTest, TakesAGreetingForOneAfterAGap) {
  player_.say_at(true, 5, "O x\r\n");
  player_.say(false, "220 mx\r\n");
  EXPECT_EQ(counted(SmtpCounter::kGreeting2xx), 1u);
  EXPECT_EQ(counted(SmtpCounter::kRepliesUnknown), 0u);
}

TEST_F(SmtpObserverTest, LosesSightAfterAGapInTheServersBytes) {
  greet();
  player_.say(true, "NOOP\r\n");
  player_.say_at(false, 10, "k\r\n250 ok\r\n");
  EXPECT_EQ(player_.phase(), SmtpPhase::kLost);
  EXPECT_EQ(counted(SmtpCounter::kFlowsLostSight), 1u);
}

TEST_F(SmtpObserverTest, SeesOnlyTheNewPartOfASegmentThatOverlaps) {
  greet();
  player_.say(true, "MAIL FROM:<>\r\n");
  player_.say(false, "450 4.3.0 a\r\n");
  player_.say(true, "MAIL FROM:<>\r\n");
  player_.say_at(false, -13, "450 4.3.0 a\r\n451 4.3.0 b\r\n");
  EXPECT_EQ(counted(refusal(SmtpStep::kMail, false)), 2u);
}

TEST_F(SmtpObserverTest, DoesNotTakeADotForTheEndUnlessItSawTheWholeOfIt) {
  greet();
  for (const char* line : {"MAIL FROM:<>\r\n", "RCPT TO:<b@example.net>\r\n", "DATA\r\n"}) {
    player_.say(true, line);
    player_.say(false, line[0] == 'D' ? "354 go\r\n" : "250 ok\r\n");
  }
  player_.say(true, "x");
  player_.say(true, "\r\n.\r", 0);  // not pushed, so passed over
  player_.say(true, "\n");
  EXPECT_EQ(player_.phase(), SmtpPhase::kMessage);
  player_.say(false, "250 ok\r\n");
  EXPECT_EQ(counted(SmtpCounter::kMessagesAccepted), 1u);
  player_.say(true, "MAIL FROM:<>\r\n");
  player_.say(false, "550 5.7.1 no\r\n");
  EXPECT_EQ(counted(refusal(SmtpStep::kMail, true)), 0u);
  EXPECT_EQ(counted(refusal(SmtpStep::kUnknown, true)), 1u);
}

TEST_F(SmtpObserverTest, RemembersHundredsOfPipelinedRecipients) {
  greet();
  std::string commands = "MAIL FROM:<>\r\n", replies = "250 ok\r\n";
  for (int i = 0; i < 700; i++) {
    commands += "RCPT TO:<b@example.net>\r\n";
    replies += i % 2 == 0 ? "250 ok\r\n" : "550 5.1.1 unknown user\r\n";
  }
  player_.say(true, commands + "DATA\r\n");
  player_.say(false, replies + "354 go\r\n");
  EXPECT_EQ(counted(refusal(SmtpStep::kRcpt, true)), 350u);
  EXPECT_EQ(counted(SmtpCounter::kEnhanced511), 350u);
  EXPECT_EQ(player_.phase(), SmtpPhase::kMessageEdge);
}

TEST_F(SmtpObserverTest, GivesUpMatchingWhenMoreIsPipelinedThanItRemembers) {
  greet();
  std::string commands, replies;
  for (int i = 0; i < 10; i++) {
    commands += "MAIL FROM:<>\r\nRSET\r\n";
    replies += "451 4.3.0 no\r\n250 ok\r\n";
  }
  player_.say(true, commands);
  player_.say(false, replies);
  EXPECT_EQ(counted(refusal(SmtpStep::kMail, false)), 0u);
  EXPECT_EQ(counted(refusal(SmtpStep::kUnknown, false)), 10u);
  EXPECT_EQ(counted(SmtpCounter::kRepliesUnknown), 20u);
}

TEST_F(SmtpObserverTest, EndlessLinesCostNothing) {
  player_.say(false, "220-");
  for (int i = 0; i < 1000; i++) player_.say(false, std::string(1460, 'x'));
  EXPECT_EQ(player_.observer().dialogues_in_use(), 1u);
  player_.say(false, "\r\n220 at last\r\n");
  EXPECT_EQ(counted(SmtpCounter::kGreeting2xx), 1u);
  EXPECT_EQ(player_.observer().dialogues_in_use(), 0u);
}

TEST_F(SmtpObserverTest, EndsOnceOnly) {
  greet();
  player_.fin(true);
  player_.fin(false);
  player_.reset(true);
  player_.expire();
  EXPECT_EQ(counted(SmtpCounter::kEndedWithoutQuit), 1u);
  EXPECT_EQ(counted(SmtpCounter::kEndedResetByClient) + counted(SmtpCounter::kEndedIdle), 0u);
  EXPECT_EQ(player_.phase(), SmtpPhase::kEnded);
}

TEST_F(SmtpObserverTest, AFlowOfAnEarlierProcessWithoutItsDialogueIsLostFromSight) {
  greet();
  player_.say(true, "MAIL FROM:<>\r\nRCPT");
  ASSERT_NE(player_.flow().smtp_detail & kSmtpDialogue, 0);
  player_.observer().forget(7, player_.flow());
  player_.flow().smtp_detail |= kSmtpDialogue;
  player_.say(false, "250 ok\r\n");
  EXPECT_EQ(player_.phase(), SmtpPhase::kLost);
  player_.fin(true);
  player_.fin(false);
  EXPECT_EQ(counted(SmtpCounter::kEndedUnknown), 1u);
}

TEST_F(SmtpObserverTest, WithoutRoomForADialogueNothingIsGuessed) {
  auto stats = std::make_unique<channel::WorkerStats>();
  std::vector<channel::SessionNotes> notes(2 * DialogueTable::kDialogues);
  auto observer = std::make_unique<SmtpObserver>(*stats, notes.data());
  Service service{};
  service.vip.port = Be16::of(25);
  const std::string half = "220 half a gree";
  std::vector<Flow> flows(2 * DialogueTable::kDialogues);
  for (FlowIndex i = 0; i < flows.size(); i++) {
    flows[i].state = TcpState::kEstablished;
    flows[i].smtp_phase = static_cast<uint8_t>(SmtpPhase::kCommands);
    flows[i].smtp_detail = static_cast<uint8_t>(SmtpCommand::kConnect);
    const ObservedSegment segment{reinterpret_cast<const uint8_t*>(half.data()), 15, 1, 1, kTcpAck};
    observer->from_backend(i, flows[i], service, segment, 0);
  }
  const uint64_t lost = stats->backend_smtp[0][SmtpCounter::kFlowsLostSight];
  EXPECT_EQ(lost + observer->dialogues_in_use(), flows.size());
  EXPECT_GT(observer->dialogues_in_use(), DialogueTable::kDialogues * 9 / 10);
  EXPECT_EQ(stats->backend_smtp[0][SmtpCounter::kGreeting2xx], 0u);
  for (FlowIndex i = 0; i < flows.size(); i++) observer->forget(i, flows[i]);
  EXPECT_EQ(observer->dialogues_in_use(), 0u);
}

TEST_F(SmtpObserverTest, SurvivesRandomSegments) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 17U;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> words{"220 ",
                                       "250-x",
                                       "354 go",
                                       "421",
                                       "\r\n",
                                       "\n",
                                       "\r",
                                       ".\r\n",
                                       "DATA\r\n",
                                       "BDAT 999999999 LAST\r\n",
                                       "STARTTLS\r\n",
                                       "AUTH LOGIN\r\n",
                                       "334 ",
                                       "220",
                                       "QUIT\r\n",
                                       "RCPT TO:<x>\r\n",
                                       "5.7.1 ",
                                       "550 5.",
                                       kHello,
                                       kAppData,
                                       std::string("\x15\x03\x03\x00\x02\x02", 6),
                                       std::string(3, '\0'),
                                       "\xff\xfe"};
  uint64_t ended = 0, sessions = 0;
  for (; sessions < 3000; sessions++) {
    player_.open(random() % 4 == 0 ? 465 : 25);
    for (uint32_t n = random() % 40; n > 0; n--) {
      std::string text;
      for (uint32_t k = random() % 4; k > 0; k--) text += words[random() % words.size()];
      const auto offset = random() % 8 == 0 ? static_cast<int64_t>(random() % 64) - 32 : 0;
      player_.say_at(random() % 2 == 0, offset, text, random() % 3 == 0 ? 0 : kTcpPsh);
    }
    random() % 2 == 0 ? player_.reset(random() % 2 == 0) : player_.expire();
    player_.forget();
    ASSERT_EQ(player_.observer().dialogues_in_use(), 0u);
    for (auto i = static_cast<size_t>(SmtpCounter::kEndedQuit); i <= static_cast<size_t>(SmtpCounter::kEndedCut); i++) {
      ended += player_.counters().counters[i];
    }
  }
  EXPECT_EQ(ended, sessions);
}

}  // namespace
}  // namespace sluice::testing
