// SPDX-License-Identifier: Apache-2.0
//
// The dialogues as tables: what the server says, what the probe must answer. Each is played whole, byte by byte, and
// cut once at every place.
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "healthcheck/dialogue.h"
#include "tests/healthcheck/dialogue_stage.h"

namespace sluice::health {
namespace {

using config::CheckType;
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

}  // namespace
}  // namespace sluice::health
