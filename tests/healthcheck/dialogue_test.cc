// SPDX-License-Identifier: Apache-2.0
//
// What the tables of dialogue_table_test.cc do not say: deadlines, breaks, certificates, what is written down.
#include "healthcheck/dialogue.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "tests/healthcheck/dialogue_stage.h"

namespace sluice::health {
namespace {

using config::CheckType;
using std::chrono::days;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Dialogue, TcpOnlyConnectsAndCloses) {
  Stage stage(check_of(CheckType::kTcp));
  stage.connect();
  EXPECT_EQ(stage.next(), Next::kClose);
  EXPECT_EQ(stage.take_sent(), "");
  EXPECT_EQ(stage.verdict().fact, Fact::kHealthy);
  stage.say("220 mx\r\n");
  EXPECT_EQ(stage.take_sent(), "");
  stage.end("the server closed the connection");
  EXPECT_EQ(stage.next(), Next::kAbort);
}

TEST(Dialogue, SendsTheProxyHeaderFirstAndNothingElse) {
  config::Check check = banner();
  check.proxy = config::Proxy::kV1;
  Stage stage(check);
  stage.connect();
  EXPECT_EQ(stage.take_sent(), "PROXY TCP4 10.0.0.1 10.0.0.2 40000 25\r\n");
  EXPECT_EQ(stage.next(), Next::kRead);
  stage.say("220 mx\r\n");
  EXPECT_EQ(stage.take_sent(), kQuit);
}

TEST(Dialogue, TcpSendsTheProxyHeaderAndCloses) {
  config::Check check = check_of(CheckType::kTcp);
  check.proxy = config::Proxy::kV1;
  Stage stage(check);
  stage.connect();
  EXPECT_EQ(stage.take_sent(), "PROXY TCP4 10.0.0.1 10.0.0.2 40000 25\r\n");
  EXPECT_EQ(stage.next(), Next::kClose);
  EXPECT_EQ(stage.verdict().fact, Fact::kHealthy);
}

TEST(Dialogue, WaitsForTheLastLineOfTheGreeting) {
  Stage stage(banner());
  stage.connect();
  stage.say("220-mx ESMTP\r\n");
  stage.pass(seconds(6));
  EXPECT_EQ(stage.take_sent(), "");
  EXPECT_FALSE(stage.dialogue().verdict());
  stage.say("220 mx ESMTP\r\n");
  EXPECT_EQ(stage.take_sent(), kQuit);
  EXPECT_EQ(stage.verdict().times.back().us, 6'000'000u);
}

TEST(Dialogue, TrickledBytesDoNotMoveTheDeadline) {
  Stage stage(banner());
  stage.connect();
  const auto deadline = stage.dialogue().deadline();
  EXPECT_EQ(deadline, stage.now() + seconds(15));
  for (int i = 0; i < 14; i++) {
    stage.pass(seconds(1));
    stage.say(std::string_view("220-aaaaaaaaaaaaaaaaaaaa").substr(static_cast<size_t>(i), 1));
    EXPECT_EQ(stage.dialogue().deadline(), deadline);
  }
  stage.run_out();
  EXPECT_EQ(stage.verdict().fact, Fact::kSilent);
  EXPECT_EQ(stage.verdict().detail, "the greeting did not end within 15 s");
  EXPECT_EQ(stage.verdict().text, "220-aaaaaaaaaa");
  EXPECT_EQ(stage.take_sent(), "") << "a QUIT before the greeting would be early talk";
}

TEST(Dialogue, SaysAtWhichStepTimeRanOut) {
  Stage connecting(banner());
  connecting.run_out();
  EXPECT_EQ(describe(connecting.verdict()), "dead at connect: no answer within 3 s");
  EXPECT_EQ(connecting.next(), Next::kAbort);

  Stage greeting(banner());
  greeting.connect();
  greeting.run_out();
  EXPECT_EQ(describe(greeting.verdict()), "silent at greeting: no greeting within 15 s");
  EXPECT_EQ(greeting.next(), Next::kClose);

  Stage ehlo(check_of(CheckType::kEhlo));
  ehlo.connect();
  ehlo.say("220 mx\r\n");
  ehlo.take_sent();
  ehlo.run_out();
  EXPECT_EQ(describe(ehlo.verdict()), "silent at ehlo: no reply to EHLO within 10 s");
  EXPECT_EQ(ehlo.take_sent(), "") << "a QUIT now would be pipelining";

  Stage tls(check_of(CheckType::kSmtps));
  tls.connect();
  tls.end_tls({.heard = false});
  EXPECT_EQ(describe(tls.verdict()), "silent at tls: connected, but no answer to the TLS handshake within 10 s");
}

TEST(Dialogue, BoundsItsFarewell) {
  Stage stage(banner());
  stage.connect();
  stage.say("220 mx\r\n");
  EXPECT_EQ(stage.dialogue().step(), Step::kQuit);
  EXPECT_EQ(stage.dialogue().deadline(), stage.now() + seconds(5));
  stage.run_out();
  EXPECT_EQ(stage.next(), Next::kClose);
  EXPECT_EQ(stage.dialogue().deadline(), stage.now() + seconds(1));
  stage.run_out();
  EXPECT_EQ(stage.next(), Next::kAbort);
  EXPECT_EQ(stage.verdict().fact, Fact::kHealthy);
}

TEST(Dialogue, ThrowsAwayABoundedAmountAfterItsFin) {
  Stage stage(banner());
  stage.connect();
  stage.say("?");
  ASSERT_EQ(stage.next(), Next::kClose);
  size_t drained = 0;
  for (; stage.next() != Next::kAbort && drained < 1'000'000; drained += 1000) stage.say(std::string(1000, 'x'));
  EXPECT_GT(drained, 60'000u);
  EXPECT_LT(drained, 70'000u);
}

TEST(Dialogue, CallsAConnectionThatBreaksDeadUntilTlsIsMeant) {
  Stage greeting(banner());
  greeting.connect();
  greeting.say("220-mx\r\n");
  greeting.end("the server reset the connection");
  EXPECT_EQ(describe(greeting.verdict()), "dead at greeting: the server reset the connection; server said: 220-mx");

  Stage ehlo(check_of(CheckType::kEhlo));
  ehlo.connect();
  ehlo.say("220 mx\r\n");
  ehlo.end("the server closed the connection");
  EXPECT_EQ(describe(ehlo.verdict()), "dead at ehlo: the server closed the connection");

  Stage starttls(check_of(CheckType::kStarttls));
  starttls.connect();
  starttls.say("220 mx\r\n");
  starttls.say(kOffer);
  starttls.end("the server closed the connection");
  EXPECT_EQ(describe(starttls.verdict()), "tls_failed at starttls: the server closed the connection");
}

TEST(Dialogue, KeepsItsVerdictWhenTheServerLeavesBefore221) {
  Stage stage(banner());
  stage.connect();
  stage.say("421 busy\r\n");
  stage.end("the server closed the connection");
  EXPECT_EQ(stage.next(), Next::kAbort);
  EXPECT_EQ(describe(stage.verdict()), "soft at greeting: 421 busy");
}

TEST(Dialogue, DoesNotTrustPlainTextBehindStarttls) {
  Stage stage(check_of(CheckType::kStarttls));
  stage.connect();
  stage.say("220 mx\r\n");
  stage.say(kOffer);
  stage.take_sent();
  stage.say("220 go\r\n250 injected\r\n");
  EXPECT_EQ(stage.verdict().fact, Fact::kTlsFailed);
  EXPECT_EQ(stage.next(), Next::kClose);
  EXPECT_EQ(stage.take_sent(), "");
}

/// A starttls dialogue up to the end of its handshake.
Stage& up_to_tls(Stage& stage, const TlsResult& result) {
  stage.connect();
  stage.say("220 mx ESMTP\r\n");
  stage.say(kOffer);
  stage.say("220 go\r\n");
  EXPECT_EQ(stage.next(), Next::kTls);
  stage.take_sent();
  stage.end_tls(result);
  return stage;
}

TEST(Dialogue, JudgesTheDaysThatACertificateHasLeft) {
  config::Check check = check_of(CheckType::kStarttls);
  check.certificate_warn_days = 21;
  check.certificate_fail_days = 2;
  check.certificate_action = config::CertificateAction::kDown;
  const std::vector<std::pair<std::chrono::seconds, Fact>> cases{
      {days(21), Fact::kHealthy},
      {days(21) - seconds(1), Fact::kCertificateExpiring},
      {days(2) + seconds(1), Fact::kCertificateExpiring},
      {days(2), Fact::kCertificateExpired},
      {-seconds(1), Fact::kCertificateExpired},
  };
  for (const auto& [left, fact] : cases) {
    SCOPED_TRACE(left.count());
    Stage stage(check);
    up_to_tls(stage, good_tls(left));
    if (fact == Fact::kCertificateExpired) {
      EXPECT_EQ(stage.take_sent(), kQuit) << "no need for EHLO, but a farewell is due";
    } else {
      EXPECT_EQ(stage.take_sent(), kEhlo);
      stage.say(kOffer);
      EXPECT_EQ(stage.take_sent(), kQuit);
    }
    EXPECT_EQ(stage.verdict().fact, fact);
    ASSERT_TRUE(stage.verdict().certificate);
    EXPECT_EQ(stage.verdict().certificate->subject, "CN=mx");
  }
}

TEST(Dialogue, ACertificateIsGoodToItsLastSecondByDefault) {
  Stage stage(check_of(CheckType::kStarttls));
  up_to_tls(stage, good_tls(seconds(1))).say(kOffer);
  EXPECT_EQ(stage.verdict().fact, Fact::kCertificateExpiring);
}

TEST(Dialogue, OnlyReportsABadCertificateUnlessToldOtherwise) {
  Stage expired(check_of(CheckType::kStarttls));
  up_to_tls(expired, good_tls(-days(3))).say(kOffer);
  EXPECT_EQ(expired.verdict().fact, Fact::kCertificateExpiring);
  EXPECT_EQ(expired.verdict().detail, "certificate has -3 days left");
  EXPECT_TRUE(passes(expired.verdict().fact));
  TlsResult result = good_tls();
  result.trust_error = "certificate not accepted: hostname mismatch";
  Stage distrusted(check_of(CheckType::kStarttls));
  up_to_tls(distrusted, result).say(kOffer);
  EXPECT_EQ(distrusted.verdict().fact, Fact::kCertificateDistrusted);
  EXPECT_EQ(distrusted.verdict().detail, result.trust_error);
  EXPECT_TRUE(passes(distrusted.verdict().fact));
}

TEST(Dialogue, LeavesWithQuitFromAServerItDoesNotTrust) {
  TlsResult result = good_tls();
  result.trust_error = "certificate not accepted: hostname mismatch";
  config::Check strict = check_of(CheckType::kStarttls);
  strict.certificate_action = config::CertificateAction::kDown;
  Stage starttls(strict);
  up_to_tls(starttls, result);
  EXPECT_EQ(starttls.take_sent(), kQuit);
  EXPECT_EQ(describe(starttls.verdict()), "tls_failed at tls: certificate not accepted: hostname mismatch");

  strict.type = CheckType::kSmtps;
  Stage smtps(strict);
  smtps.connect();
  EXPECT_EQ(smtps.next(), Next::kTls);
  smtps.end_tls(result);
  EXPECT_EQ(smtps.verdict().fact, Fact::kTlsFailed);
  EXPECT_EQ(smtps.verdict().evidence, Evidence::kCertificate);
  EXPECT_EQ(smtps.take_sent(), "") << "the greeting is still to come";
  smtps.say("220 mx\r\n");
  EXPECT_EQ(smtps.take_sent(), kQuit);
  smtps.say("221 bye\r\n");
  EXPECT_EQ(smtps.next(), Next::kClose);
}

TEST(Dialogue, TimesEveryStepUpToTheVerdict) {
  Stage stage(check_of(CheckType::kEhlo));
  stage.pass(milliseconds(2));
  stage.connect();
  stage.pass(milliseconds(30));
  stage.say("220 mx\r\n");
  stage.pass(milliseconds(4));
  stage.say(kOffer);
  const auto& times = stage.verdict().times;
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0].step, Step::kConnect);
  EXPECT_EQ(times[0].us, 2000u);
  EXPECT_EQ(times[1].step, Step::kGreeting);
  EXPECT_EQ(times[1].us, 30000u);
  EXPECT_EQ(times[2].step, Step::kEhlo);
  EXPECT_EQ(times[2].us, 4000u);
}

TEST(Dialogue, WritesDownWhatWasSaid) {
  Stage stage(check_of(CheckType::kEhlo));
  stage.connect();
  stage.pass(milliseconds(5));
  stage.say("220-mx\r\n220 ready\x07\r\n");
  stage.say("250 mx\r\n");
  stage.say("221 bye\r\n");
  std::string seen;
  for (const auto& line : stage.transcript()) seen += static_cast<char>(line.speaker) + line.text + "\n";
  EXPECT_EQ(seen,
            "*connected to 10.0.0.2 port 25\n"
            "<220-mx\n"
            "<220 ready\\x07\n"
            ">EHLO probe\n"
            "<250 mx\n"
            "*healthy: 220-mx / 220 ready\\x07\n"
            ">QUIT\n"
            "<221 bye\n");
  EXPECT_EQ(stage.transcript()[1].us, 5000u);
}

}  // namespace
}  // namespace sluice::health
