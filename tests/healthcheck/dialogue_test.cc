// SPDX-License-Identifier: Apache-2.0
//
// The dialogues as tables: what the server says, what the probe must answer. Each is played whole, byte by byte, and
// cut once at every place.
#include "healthcheck/dialogue.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace sluice::health {
namespace {

using config::CheckType;
using std::chrono::days;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// The server says `server`; the probe must then send exactly `client` and no more.
struct Turn {
  std::string server;
  std::string client;
};

struct Case {
  const char* name;
  config::Check check;
  std::vector<Turn> turns;
  Fact fact;
  Step step;
  unsigned code;
};

constexpr const char* kEhlo = "EHLO probe\r\n";
constexpr const char* kQuit = "QUIT\r\n";
constexpr const char* kOffer = "250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";

config::Check check_of(CheckType type) {
  return {.name = "test",
          .type = type,
          .connect_timeout = seconds(3),
          .greeting_timeout = seconds(15),
          .command_timeout = seconds(10),
          .helo = "probe"};
}

config::Check banner(std::string expect = "", std::string reject = "") {
  config::Check check = check_of(CheckType::kBanner);
  check.expect = std::move(expect);
  check.reject = std::move(reject);
  return check;
}

config::Check requiring(CheckType type, std::vector<std::string> require) {
  config::Check check = check_of(type);
  check.require = std::move(require);
  return check;
}

config::IpAddress address(const std::string& text) {
  return config::IpAddress::parse(text).value();
}

TlsResult good_tls(std::chrono::seconds left = days(90)) {
  return {.established = true,
          .protocol = "TLSv1.3",
          .certificate = Certificate{.subject = "CN=mx", .sha256 = "aa", .key_sha256 = "bb", .left = left}};
}

/// Drives a dialogue as a socket would, on a clock that only the test moves.
class Stage {
 public:
  explicit Stage(const config::Check& check)
      : plan_(Plan::compile(check).value()), dialogue_(plan_, matcher_, now_, &transcript_) {}

  void connect() { take(dialogue_.on_connected({address("10.0.0.1"), 40000}, {address("10.0.0.2"), 25}, now_)); }
  void say(std::string_view bytes) {
    if (next_ == Next::kAbort) return;
    take(dialogue_.on_bytes(bytes, now_));
    while (dialogue_.has_pending() && next_ == Next::kRead) {
      const size_t sent_before = sent_.size();
      take(dialogue_.on_bytes({}, now_));
      if (sent_.size() == sent_before) break;
    }
  }
  void end_tls(const TlsResult& result) { take(dialogue_.on_tls(result, now_)); }
  void end(std::string_view how) { take(dialogue_.on_closed(how, now_)); }
  void pass(milliseconds time) { now_ += time; }
  /// Moves on to the deadline of the present step.
  void run_out() {
    now_ = dialogue_.deadline();
    take(dialogue_.on_deadline(now_));
  }
  std::string take_sent() { return std::exchange(sent_, {}); }
  Next next() const { return next_; }
  Dialogue& dialogue() { return dialogue_; }
  const Transcript& transcript() const { return transcript_; }
  const Verdict& verdict() const { return dialogue_.verdict().value(); }
  Dialogue::Time now() const { return now_; }

 private:
  void take(const Action& action) {
    sent_ += action.send;
    next_ = action.next;
  }

  Plan plan_;
  Matcher matcher_;
  Transcript transcript_;
  Dialogue::Time now_{};
  Dialogue dialogue_;
  std::string sent_;
  Next next_ = Next::kRead;
};

/// A first piece of `first` bytes, then pieces of `rest`.
void say_in_pieces(Stage& stage, std::string_view bytes, size_t first, size_t rest) {
  stage.say(bytes.substr(0, first));
  for (size_t begin = first; begin < bytes.size(); begin += rest) stage.say(bytes.substr(begin, rest));
}

void play(const Case& c, size_t first, size_t rest) {
  Stage stage(c.check);
  stage.connect();
  if (stage.next() == Next::kTls) stage.end_tls(good_tls());
  for (const Turn& turn : c.turns) {
    EXPECT_EQ(stage.take_sent(), "") << "talks before the server's turn";
    say_in_pieces(stage, turn.server, first, rest);
    if (stage.next() == Next::kTls) stage.end_tls(good_tls());
    EXPECT_EQ(stage.take_sent(), turn.client);
  }
  EXPECT_EQ(stage.dialogue().step(), Step::kClose);
  EXPECT_EQ(stage.verdict().fact, c.fact) << describe(stage.verdict());
  EXPECT_EQ(stage.verdict().step, c.step);
  EXPECT_EQ(stage.verdict().code, c.code);
}

const std::vector<Case> kCases{
    {"banner", banner(), {{"220 mx ESMTP\r\n", kQuit}, {"221 bye\r\n", ""}}, Fact::kHealthy, Step::kGreeting, 220},
    {"banner of several lines",
     banner("^220 .*Exim"),
     {{"220-mx\r\n220-no spam\r\n220 mx ESMTP Exim\r\n", kQuit}, {"221 bye\r\n", ""}},
     Fact::kHealthy,
     Step::kGreeting,
     220},
    {"line feeds only", banner("mx$"), {{"220 mx\n", kQuit}, {"221 bye\n", ""}}, Fact::kHealthy, Step::kGreeting, 220},
    {"too busy", banner(), {{"421 4.7.0 too many\r\n", kQuit}, {"221 bye\r\n", ""}}, Fact::kSoft, Step::kGreeting, 421},
    {"450", banner(), {{"450 later\r\n", kQuit}, {"221 bye\r\n", ""}}, Fact::kSoft, Step::kGreeting, 450},
    {"refused", banner(), {{"554 no SMTP\r\n", kQuit}, {"221 bye\r\n", ""}}, Fact::kRefused, Step::kGreeting, 554},
    {"refused in its last line",
     banner(),
     {{"220-mx\r\n521 no\r\n", kQuit}, {"503 bad\r\n", ""}},
     Fact::kRefused,
     Step::kGreeting,
     521},
    {"a code that is no greeting",
     banner(),
     {{"354 go\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kUnexpected,
     Step::kGreeting,
     354},
    {"expect fails",
     banner("^220[ -].*ESMTP"),
     {{"220 mx SMTP\r\n", kQuit}, {"221 bye\r\n", ""}},
     Fact::kUnexpected,
     Step::kGreeting,
     220},
    {"reject hits",
     banner("ESMTP", "maintenance"),
     {{"220-mx ESMTP\r\n220 in maintenance\r\n", kQuit}, {"221-bye\r\n221 bye\r\n", ""}},
     Fact::kUnexpected,
     Step::kGreeting,
     220},
    {"soft goes before expect",
     banner("ESMTP"),
     {{"421 busy\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kSoft,
     Step::kGreeting,
     421},
    {"not SMTP", banner(), {{"HTTP/1.1 400 Bad\r\n\r\n", ""}}, Fact::kNotSmtp, Step::kGreeting, 0},
    {"nonsense for a farewell",
     banner(),
     {{"220 mx\r\n", kQuit}, {"bye!\r\n", ""}},
     Fact::kHealthy,
     Step::kGreeting,
     220},
    {"ehlo",
     check_of(CheckType::kEhlo),
     {{"220 mx\r\n", kEhlo}, {kOffer, kQuit}, {"221\r\n", ""}},
     Fact::kHealthy,
     Step::kEhlo,
     250},
    {"ehlo, all that is required is there",
     requiring(CheckType::kEhlo, {"starttls", "AUTH PLAIN"}),
     {{"220 mx\r\n", kEhlo}, {kOffer, kQuit}, {"221\r\n", ""}},
     Fact::kHealthy,
     Step::kEhlo,
     250},
    {"ehlo, a keyword is missing",
     requiring(CheckType::kEhlo, {"PIPELINING", "SMTPUTF8"}),
     {{"220 mx\r\n", kEhlo}, {kOffer, kQuit}, {"221\r\n", ""}},
     Fact::kUnexpected,
     Step::kEhlo,
     250},
    {"ehlo, 421 right behind the greeting",
     check_of(CheckType::kEhlo),
     {{"220 mx\r\n421 shutting down\r\n", std::string(kEhlo) + kQuit}, {"221\r\n", ""}},
     Fact::kSoft,
     Step::kEhlo,
     421},
    {"ehlo refused",
     check_of(CheckType::kEhlo),
     {{"220 mx\r\n", kEhlo}, {"550 go away\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kRefused,
     Step::kEhlo,
     550},
    {"ehlo, soft",
     check_of(CheckType::kEhlo),
     {{"220 mx\r\n", kEhlo}, {"451 later\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kSoft,
     Step::kEhlo,
     451},
    {"ehlo answered with a greeting",
     check_of(CheckType::kEhlo),
     {{"220 mx\r\n", kEhlo}, {"220 mx\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kUnexpected,
     Step::kEhlo,
     220},
    {"ehlo answered with noise",
     check_of(CheckType::kEhlo),
     {{"220 mx\r\n", kEhlo}, {"250-mx\r\n???\r\n", ""}},
     Fact::kNotSmtp,
     Step::kEhlo,
     0},
    {"starttls, AUTH under TLS only",
     requiring(CheckType::kStarttls, {"STARTTLS", "AUTH"}),
     {{"220 mx\r\n", kEhlo},
      {"250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n"},
      {"220 go ahead\r\n", kEhlo},
      {"250-mx\r\n250 AUTH PLAIN\r\n", kQuit},
      {"221\r\n", ""}},
     Fact::kHealthy,
     Step::kEhloTls,
     250},
    {"starttls is not offered",
     check_of(CheckType::kStarttls),
     {{"220 mx\r\n", kEhlo}, {"250-mx\r\n250 SIZE\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kTlsFailed,
     Step::kEhlo,
     250},
    {"starttls is not available",
     check_of(CheckType::kStarttls),
     {{"220 mx\r\n", kEhlo}, {kOffer, "STARTTLS\r\n"}, {"454 no TLS\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kTlsFailed,
     Step::kStarttls,
     454},
    {"421 to STARTTLS",
     check_of(CheckType::kStarttls),
     {{"220 mx\r\n", kEhlo}, {kOffer, "STARTTLS\r\n"}, {"421 closing\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kSoft,
     Step::kStarttls,
     421},
    {"a keyword is missing under TLS too",
     requiring(CheckType::kStarttls, {"SMTPUTF8"}),
     {{"220 mx\r\n", kEhlo}, {kOffer, "STARTTLS\r\n"}, {"220 go\r\n", kEhlo}, {"250 mx\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kUnexpected,
     Step::kEhloTls,
     250},
    {"smtps",
     requiring(CheckType::kSmtps, {"AUTH"}),
     {{"220 mx\r\n", kEhlo}, {kOffer, kQuit}, {"221\r\n", ""}},
     Fact::kHealthy,
     Step::kEhloTls,
     250},
    {"smtps, too busy",
     check_of(CheckType::kSmtps),
     {{"421 busy\r\n", kQuit}, {"221\r\n", ""}},
     Fact::kSoft,
     Step::kGreeting,
     421},
};

TEST(Dialogue, FollowsTheTableWholeAndByteByByte) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    play(c, 100000, 100000);
    play(c, 1, 1);
  }
}

TEST(Dialogue, FollowsTheTableCutAtEveryPlace) {
  for (const Case& c : kCases) {
    size_t longest = 0;
    for (const Turn& turn : c.turns) longest = std::max(longest, turn.server.size());
    for (size_t cut = 1; cut < longest; cut++) {
      SCOPED_TRACE(std::string(c.name) + ", cut at " + std::to_string(cut));
      play(c, cut, 100000);
    }
  }
}

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

TEST(Dialogue, LeavesWithQuitFromAServerItDoesNotTrust) {
  TlsResult result = good_tls();
  result.trust_error = "certificate not accepted: hostname mismatch";
  Stage starttls(check_of(CheckType::kStarttls));
  up_to_tls(starttls, result);
  EXPECT_EQ(starttls.take_sent(), kQuit);
  EXPECT_EQ(describe(starttls.verdict()), "tls_failed at tls: certificate not accepted: hostname mismatch");

  Stage smtps(check_of(CheckType::kSmtps));
  smtps.connect();
  EXPECT_EQ(smtps.next(), Next::kTls);
  smtps.end_tls(result);
  EXPECT_EQ(smtps.verdict().fact, Fact::kTlsFailed);
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
