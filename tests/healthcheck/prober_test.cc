// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/prober.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/healthcheck/scripted_server.h"
#include "tests/support/ip.h"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using config::CheckType;
using std::chrono::milliseconds;
using testing::Left;
using testing::Peer;
using testing::run_for;
using testing::run_until;
using testing::ScriptedServer;

config::Check quick_check(const std::string& name = "greeting") {
  return {.name = name,
          .type = CheckType::kBanner,
          .interval = milliseconds(40),
          .jitter = 0.2,
          .fast_interval = milliseconds(20),
          .connect_timeout = milliseconds(40'000),
          .greeting_timeout = milliseconds(40'000),
          .command_timeout = milliseconds(40'000),
          .rise = 2,
          .fall = 3};
}

Target target(const std::string& key, uint16_t port, const config::Check& check = quick_check()) {
  return {.key = key, .address = ip("127.0.0.1"), .port = port, .check = check};
}

class ProberTest : public ::testing::Test {
 protected:
  ProberTest() {
    prober_.set_on_change([this](const std::string& key, const Change& change) {
      changes_.push_back(key + " " + std::string(name_of(change.from)) + "->" + std::string(name_of(change.to)) + ": " +
                         change.reason);
    });
    prober_.set_on_result([this](const std::string& key, const Verdict&) { results_[key]++; });
  }

  Health health(const std::string& key) const { return prober_.state(key).value().health; }

  asio::io_context io_;
  Prober prober_{io_.get_executor()};
  std::vector<std::string> changes_;
  std::map<std::string, int> results_;
};

TEST_F(ProberTest, BringsABackendUpByItsFirstSuccess) {
  ScriptedServer server(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  EXPECT_EQ(health("mta1"), Health::kUnknown);
  ASSERT_TRUE(run_until(io_, [&] { return !changes_.empty(); }));
  EXPECT_EQ(changes_, std::vector<std::string>{"mta1 unknown->up: healthy: 220 mx ESMTP"});
  EXPECT_EQ(results_["mta1"], 1);
  const TargetState state = prober_.state("mta1").value();
  EXPECT_EQ(state.health, Health::kUp);
  EXPECT_EQ(state.successes, 1u);
  EXPECT_EQ(state.reason, "healthy: 220 mx ESMTP");
  ASSERT_TRUE(state.last);
  EXPECT_EQ(state.last->times.size(), 2u);
}

TEST_F(ProberTest, TakesABackendDownAndBringsItBack) {
  ScriptedServer server(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 1; }));
  server.play(testing::smtp_server("554 5.3.2 closed\r\n"));
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 2; }));
  EXPECT_EQ(changes_[1], "mta1 up->down: refused at greeting: 554 5.3.2 closed (3 in a row)");
  EXPECT_EQ(prober_.state("mta1")->failures, 3u);
  server.play(testing::smtp_server());
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 3; }));
  EXPECT_EQ(changes_[2], "mta1 down->up: healthy: 220 mx ESMTP (2 in a row)");
}

TEST_F(ProberTest, WhileSuspendedResultsAreToldAndCountForNothing) {
  ScriptedServer server(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return health("mta1") == Health::kUp; }));
  prober_.suspend("mta1");
  server.play(testing::smtp_server("554 5.3.2 closed\r\n"));
  const int before = results_["mta1"];
  ASSERT_TRUE(run_until(io_, [&] { return results_["mta1"] >= before + 6; }));
  EXPECT_EQ(health("mta1"), Health::kUp);
  prober_.start_over("mta1");
  ASSERT_TRUE(run_until(io_, [&] { return health("mta1") == Health::kDown; }));
  EXPECT_EQ(prober_.state("mta1")->failures, 3u) << "counted from zero";
}

TEST_F(ProberTest, AProbeThatBeganBeforeTheWayWasBackDoesNotCount) {
  ScriptedServer server(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return health("mta1") == Health::kUp; }));
  bool hold = true;
  server.play([&](Peer& peer) -> asio::awaitable<void> {
    while (hold) co_await peer.wait(milliseconds(5));
    co_await testing::smtp_server("554 5.3.2 closed\r\n")(peer);
  });
  const size_t before = server.connections();
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() > before; }));
  std::vector<bool> counted;
  prober_.set_on_result([&](const std::string&, const Verdict& verdict) { counted.push_back(verdict.counts); });
  prober_.start_over("mta1");
  hold = false;
  ASSERT_TRUE(run_until(io_, [&] { return counted.size() >= 2; }));
  EXPECT_FALSE(counted[0]);
  EXPECT_TRUE(counted[1]);
}

TEST_F(ProberTest, TellsOfAHandshakeBeforeTheVerdict) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> { co_await peer.wait(milliseconds(200)); });
  bool heard = false;
  prober_.set_on_heard([&](const std::string& key) { heard = key == "mta1"; });
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return heard; }));
  EXPECT_EQ(results_["mta1"], 0);
}

TEST_F(ProberTest, TakesABackendThatPutsOffAsSoftOrAsDownByTheChecksPolicy) {
  ScriptedServer server(io_, testing::smtp_server());
  config::Check strict = quick_check("strict");
  strict.on_soft = config::OnSoft::kDown;
  ASSERT_TRUE(prober_.set_targets({target("a", server.port()), target("b", server.port(), strict)}));
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 2; }));
  server.play(testing::smtp_server("421 4.3.2 busy\r\n"));
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 4; }));
  std::ranges::sort(changes_);
  EXPECT_EQ(changes_[1], "a up->soft: soft at greeting: 421 4.3.2 busy (3 in a row)");
  EXPECT_EQ(changes_[3], "b up->down: soft at greeting: 421 4.3.2 busy (3 in a row)");
}

TEST_F(ProberTest, ProbesOnceForAllWhoShareAnEndpoint) {
  ScriptedServer server(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("relay/mta1", server.port()), target("relay6/mta1", server.port()),
                                   target("other/mta1", server.port(), quick_check("another"))}));
  EXPECT_EQ(prober_.endpoint_count(), 2u);
  ASSERT_TRUE(run_until(io_, [&] { return results_["relay6/mta1"] >= 3 && results_["other/mta1"] >= 1; }));
  EXPECT_EQ(results_["relay/mta1"], results_["relay6/mta1"]);
  EXPECT_EQ(changes_.size(), 3u);
}

TEST_F(ProberTest, NeverOpensASecondConnectionToASlowServer) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> {
    co_await peer.wait(milliseconds(100));
    co_await testing::smtp_server()(peer);
  });
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  ASSERT_TRUE(prober_.check_now("mta1", [](const CheckReport&) {}));
  ASSERT_TRUE(run_until(io_, [&] { return results_["mta1"] >= 4; }));
  EXPECT_EQ(server.open_at_once_max(), 1u);
}

TEST_F(ProberTest, SaysItsFarewellToAServerThatGreetsAfterItWasGivenUp) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> {
    co_await peer.wait(milliseconds(100));
    co_await testing::smtp_server()(peer);
  });
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 1; }));
  EXPECT_FALSE(prober_.says_farewell());
  ASSERT_TRUE(prober_.set_targets({}));
  EXPECT_TRUE(prober_.says_farewell());
  ASSERT_TRUE(run_until(io_, [&] { return server.last().left != Left::kStillThere; }));
  EXPECT_EQ(server.last().lines, std::vector<std::string>{"QUIT"});
  EXPECT_EQ(server.last().left, Left::kFin);
  ASSERT_TRUE(run_until(io_, [&] { return !prober_.says_farewell(); }));
}

TEST_F(ProberTest, GivesUpAConnectionThatDoesNotStand) {
  // A queue of one that is full: the kernel answers no further SYN.
  asio::ip::tcp::acceptor full(io_, {asio::ip::make_address("127.0.0.1"), 0});
  full.listen(0);
  asio::ip::tcp::socket first(io_);
  first.connect(full.local_endpoint());
  ASSERT_TRUE(prober_.set_targets({target("mta1", full.local_endpoint().port())}));
  run_for(io_, milliseconds(100));
  ASSERT_TRUE(prober_.set_targets({}));
  io_.restart();
  io_.run_for(milliseconds(20'000));  // of the 40 s that connecting may take; ends as soon as nothing is left to do
  EXPECT_TRUE(io_.stopped());
  EXPECT_TRUE(results_.empty());
}

TEST_F(ProberTest, CountsTheProbesThatFail) {
  constexpr uint16_t kNobodyListens = 1;
  ASSERT_TRUE(prober_.set_targets({target("mta1", kNobodyListens)}));
  ASSERT_TRUE(run_until(io_, [&] { return results_["mta1"] >= 2; }));
  const TargetState state = prober_.state("mta1").value();
  EXPECT_EQ(state.failed, state.probes);
  EXPECT_EQ(state.passed, 0u);
}

TEST_F(ProberTest, KeepsTheStateOfThoseThatStay) {
  ScriptedServer stays(io_, testing::smtp_server());
  ScriptedServer goes(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("a", stays.port()), target("b", goes.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 2; }));
  const TargetState before = prober_.state("a").value();

  config::Check check = quick_check();
  check.fall = 5;
  check.expect = "ESMTP";
  ASSERT_TRUE(prober_.set_targets({target("renamed", stays.port(), check)}));
  EXPECT_FALSE(prober_.state("a"));
  EXPECT_FALSE(prober_.state("b"));
  const TargetState after = prober_.state("renamed").value();
  EXPECT_EQ(after.health, Health::kUp);
  EXPECT_EQ(after.since, before.since);
  EXPECT_EQ(after.probes, before.probes);
  EXPECT_EQ(after.passed, before.probes);
  EXPECT_EQ(after.failed, 0u);

  ASSERT_TRUE(run_until(io_, [&] { return goes.last().left != Left::kStillThere; }));
  const size_t connections = goes.connections();
  const int results = results_["b"];
  ASSERT_TRUE(run_until(io_, [&] { return results_["renamed"] >= 3; }));
  EXPECT_EQ(goes.connections(), connections);
  EXPECT_EQ(results_["b"], results);
  EXPECT_EQ(changes_.size(), 2u);
  stays.play(testing::smtp_server("220 mx SMTP\r\n"));
  ASSERT_TRUE(run_until(io_, [&] { return changes_.size() == 3; }));
  EXPECT_EQ(
      changes_[2],
      "renamed up->down: unexpected at greeting: the greeting does not match expect = \"ESMTP\"; server said: 220 "
      "mx SMTP (5 in a row)");
}

TEST_F(ProberTest, ChangesNothingWhenATargetIsWrong) {
  ScriptedServer server(io_, testing::smtp_server());
  ASSERT_TRUE(prober_.set_targets({target("a", server.port())}));
  config::Check bad = quick_check("bad");
  bad.expect = "(";
  const auto pattern = prober_.set_targets({target("b", server.port(), bad)});
  ASSERT_FALSE(pattern);
  EXPECT_TRUE(pattern.error().starts_with("check \"bad\": expect = \"(\"")) << pattern.error();
  const auto twice = prober_.set_targets({target("c", 25), target("c", 26)});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error(), "target \"c\" is given twice");
  EXPECT_TRUE(prober_.state("a"));
  EXPECT_FALSE(prober_.state("b"));
}

TEST_F(ProberTest, RunsAForcedCheckAtOnceAndReportsTheDialogue) {
  ScriptedServer server(io_, testing::smtp_server());
  config::Check check = quick_check();
  check.interval = std::chrono::hours(1);
  check.fast_interval = check.interval;
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port(), check)}));
  ASSERT_TRUE(run_until(io_, [&] { return results_["mta1"] == 1 && server.last().left != Left::kStillThere; }));
  CheckReport report;
  ASSERT_TRUE(prober_.check_now("mta1", [&](const CheckReport& found) { report = found; }));
  ASSERT_TRUE(run_until(io_, [&] { return !report.transcript.empty(); }));
  EXPECT_EQ(results_["mta1"], 2);
  EXPECT_EQ(report.verdict.fact, Fact::kHealthy);
  std::string said;
  for (const auto& line : report.transcript) said += static_cast<char>(line.speaker) + line.text + "\n";
  EXPECT_NE(said.find("<220 mx ESMTP\n"), std::string::npos) << said;
  EXPECT_NE(said.find(">QUIT\n<221 bye\n"), std::string::npos) << said;
}

TEST_F(ProberTest, BoundsHowManyWaitForAForcedCheck) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> { co_await peer.read_to_end(); });
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port())}));
  size_t reports = 0;
  for (size_t i = 0; i < Watch::kMaxReports; i++)
    ASSERT_TRUE(prober_.check_now("mta1", [&](const CheckReport&) { reports++; }));
  const auto one_more = prober_.check_now("mta1", [&](const CheckReport&) { reports++; });
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error(), "too many wait for the next check of \"mta1\" already");
  ASSERT_TRUE(prober_.set_targets({}));
  ASSERT_TRUE(run_until(io_, [&] { return reports == Watch::kMaxReports; }));
}

TEST_F(ProberTest, SaysWhenNothingIsCheckedUnderAName) {
  const auto result = prober_.check_now("nobody", [](const CheckReport&) { FAIL(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), "nothing is checked under the name \"nobody\"");
}

TEST_F(ProberTest, AnswersAForcedCheckOfATargetThatIsRemoved) {
  ScriptedServer server(io_, [](Peer& peer) -> asio::awaitable<void> { co_await peer.read_to_end(); });
  config::Check check = quick_check();
  check.greeting_timeout = milliseconds(500);
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port(), check)}));
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 1; }));
  std::string detail;
  ASSERT_TRUE(prober_.check_now("mta1", [&](const CheckReport& found) { detail = found.verdict.detail; }));
  ASSERT_TRUE(prober_.set_targets({}));
  ASSERT_TRUE(run_until(io_, [&] { return !detail.empty(); }));
  EXPECT_EQ(detail, "the target was removed");
}

TEST_F(ProberTest, LooksFasterWhileChanging) {
  ScriptedServer server(io_, testing::smtp_server("554 no\r\n"));
  config::Check check = quick_check();
  check.interval = std::chrono::hours(1);
  check.fall = 3;
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port(), check)}));
  ASSERT_TRUE(run_until(io_, [&] { return !changes_.empty(); }));
  EXPECT_EQ(changes_[0], "mta1 unknown->down: refused at greeting: 554 no (3 in a row)");
  run_for(io_, milliseconds(100));
  EXPECT_EQ(results_["mta1"], 3) << "the long interval again, once it is down";
}

TEST_F(ProberTest, AShorterIntervalHoldsAtOnceForThoseThatStay) {
  ScriptedServer server(io_, testing::smtp_server());
  config::Check check = quick_check();
  check.interval = std::chrono::hours(1);
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port(), check)}));
  ASSERT_TRUE(run_until(io_, [&] { return health("mta1") == Health::kUp && server.last().left != Left::kStillThere; }));
  const int before = results_["mta1"];
  check.interval = std::chrono::hours(2);
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port(), check)}));
  run_for(io_, milliseconds(100));
  EXPECT_EQ(results_["mta1"], before) << "a longer one wakes nobody";
  check.interval = milliseconds(40);
  ASSERT_TRUE(prober_.set_targets({target("mta1", server.port(), check)}));
  EXPECT_TRUE(run_until(io_, [&] { return results_["mta1"] >= before + 2; }));
}

TEST_F(ProberTest, LetsAListenerReplaceTheTargets) {
  ScriptedServer server(io_, testing::smtp_server());
  prober_.set_on_result([&](const std::string& key, const Verdict&) {
    results_[key]++;
    EXPECT_TRUE(prober_.set_targets({}));
  });
  ASSERT_TRUE(prober_.set_targets({target("a", server.port()), target("b", server.port())}));
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 1 && server.last().left != Left::kStillThere; }));
  EXPECT_EQ(results_["a"] + results_["b"], 1);
  EXPECT_EQ(server.last().lines, std::vector<std::string>{"QUIT"}) << "the probe under way says its farewell";
}

TEST(ProberLifetime, LetsItsLastProbesFinishWithoutIt) {
  asio::io_context io;
  ScriptedServer server(io, testing::smtp_server());
  {
    Prober prober(io.get_executor());
    ASSERT_TRUE(prober.set_targets({target("a", server.port())}));
    ASSERT_TRUE(run_until(io, [&] { return server.connections() == 1; }));
  }
  ASSERT_TRUE(run_until(io, [&] { return server.last().left == Left::kFin; }));
}

}  // namespace
}  // namespace sluice::health
