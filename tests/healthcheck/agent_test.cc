// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "healthcheck/agent_reply.h"
#include "healthcheck/agent_standing.h"
#include "healthcheck/agent_watch.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/support/ip.h"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Peer;
using testing::run_until;
using testing::ScriptedServer;

struct Line {
  const char* text;
  std::optional<double> share;
  std::optional<AgentMode> mode;
  std::optional<bool> up;
  std::optional<uint32_t> max_connections;
};

TEST(AgentReply, UnderstandsTheWordsOfTheProtocol) {
  const Line lines[] = {
      {"75%", 0.75, {}, {}, {}},
      {"0%", 0, {}, {}, {}},
      {"250%", 2.5, {}, {}, {}},
      {"up", {}, {}, true, {}},
      {"ready", {}, AgentMode::kReady, {}, {}},
      {"up ready 100%", 1, AgentMode::kReady, true, {}},
      {"drain", {}, AgentMode::kDrain, {}, {}},
      {"MAINT", {}, AgentMode::kMaint, {}, {}},
      {"down", {}, {}, false, {}},
      {"fail # queue of 40000, up to now", {}, {}, false, {}},
      {"failed up", {}, {}, true, {}},  // HAProxy does not know "failed" either
      {"stopped", {}, {}, false, {}},
      {"up,50%,maxconn:30", 0.5, {}, true, 30},
      {"\t ready ,, 10% ", 0.1, AgentMode::kReady, {}, {}},
      {"up somethingnew", {}, {}, true, {}},
      {"maxconn:0", {}, {}, {}, 0},
  };
  for (const Line& line : lines) {
    SCOPED_TRACE(line.text);
    const auto reply = parse_agent_line(line.text);
    ASSERT_TRUE(reply) << reply.error();
    EXPECT_EQ(reply->share, line.share);
    EXPECT_EQ(reply->mode, line.mode);
    EXPECT_EQ(reply->up, line.up);
    EXPECT_EQ(reply->max_connections, line.max_connections);
  }
}

TEST(AgentReply, RefusesWhatMakesNoSense) {
  const std::pair<const char*, const char*> lines[] = {
      {"", "the line has no word that is known: \"\""},
      {"# down", "the line has no word that is known: \"# down\""},
      {"HTTP/1.1 400 Bad Request", "the line has no word that is known: \"HTTP/1.1 400 Bad Request\""},
      {"up -5%", "\"-5%\" is no percentage from 0% to 1000%"},
      {"%", "\"%\" is no percentage from 0% to 1000%"},
      {"1001%", "\"1001%\" is no percentage from 0% to 1000%"},
      {"99999999999999999999%", "\"99999999999999999999%\" is no percentage from 0% to 1000%"},
      {"7.5%", "\"7.5%\" is no percentage from 0% to 1000%"},
      {"up maxconn:many", "\"maxconn:many\" has no number of connections"},
  };
  for (const auto& [text, error] : lines) {
    SCOPED_TRACE(text);
    const auto reply = parse_agent_line(text);
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error(), error);
  }
}

TEST(AgentReply, KeepsControlCharactersOutOfItsText) {
  EXPECT_EQ(parse_agent_line("up # \x1b[2J\xff").value().text, "up # \\x1b[2J\\xff");
}

TEST(AgentLineReader, GathersALineCutAtEveryByte) {
  const std::string bytes = "up 75%\r\n";
  for (size_t cut = 0; cut <= bytes.size(); cut++) {
    SCOPED_TRACE(cut);
    AgentLineReader reader;
    const auto first = reader.on_bytes(bytes.substr(0, cut));
    EXPECT_EQ(first, cut > 6 ? AgentLineReader::Status::kComplete : AgentLineReader::Status::kMore);
    if (cut <= 6) {
      EXPECT_EQ(reader.on_bytes(bytes.substr(cut)), AgentLineReader::Status::kComplete);
    }
    EXPECT_EQ(reader.line(), "up 75%");
  }
}

TEST(AgentLineReader, TakesTheEndOfTheConnectionForTheEndOfTheLineAndBoundsIt) {
  AgentLineReader reader;
  EXPECT_FALSE(reader.on_closed());
  EXPECT_EQ(reader.on_bytes("drain"), AgentLineReader::Status::kMore);
  EXPECT_TRUE(reader.on_closed());
  EXPECT_EQ(reader.on_bytes(std::string(kMaxAgentLineBytes - 5, 'x')), AgentLineReader::Status::kMore);
  EXPECT_EQ(reader.on_bytes("x"), AgentLineReader::Status::kTooLong);
}

class AgentStandingTest : public ::testing::Test {
 protected:
  bool says(const std::string& line) { return standing_.on_reply(parse_agent_line(line).value(), now_); }
  bool fails() { return standing_.on_failure("connection refused", seconds(60), now_); }

  AgentStanding::Time now_{seconds(1'800'000'000)};
  AgentStanding standing_;
};

TEST_F(AgentStandingTest, KeepsAWordUntilAnotherTakesItBack) {
  EXPECT_FALSE(says("up"));
  EXPECT_TRUE(says("50%"));
  EXPECT_EQ(standing_.share(), 0.5);
  EXPECT_TRUE(says("drain"));
  EXPECT_EQ(standing_.share(), 0);
  EXPECT_FALSE(says("up")) << "it is draining still";
  EXPECT_TRUE(says("down"));
  EXPECT_TRUE(says("ready"));
  EXPECT_EQ(standing_.share(), 0) << "and down";
  EXPECT_TRUE(says("up"));
  EXPECT_EQ(standing_.share(), 0.5);
  EXPECT_EQ(standing_.reason(), "agent: up");
}

TEST_F(AgentStandingTest, ForgetsThePercentageOfAnAgentThatFellSilent) {
  says("20% maxconn:7");
  now_ += seconds(59);
  EXPECT_FALSE(fails());
  EXPECT_EQ(standing_.share(), 0.2);
  now_ += seconds(1);
  EXPECT_TRUE(fails());
  EXPECT_EQ(standing_.share(), 1);
  EXPECT_FALSE(standing_.max_connections());
  EXPECT_EQ(standing_.reason(), "agent: no answer for 60 s (connection refused); its last word is forgotten");
  EXPECT_FALSE(fails()) << "once";
}

TEST_F(AgentStandingTest, KeepsABackendOutWhoseAgentFellSilent) {
  says("maint 30%");
  now_ += seconds(3600);
  fails();
  EXPECT_TRUE(standing_.is_out());
  EXPECT_EQ(standing_.reason(), "agent: no answer for 60 s (connection refused); it had the backend out, which stays");
  EXPECT_TRUE(says("ready"));
  EXPECT_EQ(standing_.share(), 1) << "the percentage went";
}

TEST_F(AgentStandingTest, LeavesTheWeightAloneWhenTheAgentNeverAnswered) {
  EXPECT_FALSE(fails());
  EXPECT_EQ(standing_.share(), 1);
  EXPECT_EQ(standing_.reason(), "agent: no answer (connection refused)");
}

class AgentWatchTest : public ::testing::Test {
 protected:
  static testing::Script says(std::string bytes) {
    return [bytes](Peer& peer) -> asio::awaitable<void> {
      co_await peer.send(bytes);
      peer.close();
    };
  }
  static AgentTarget target(const std::string& key, uint16_t port, milliseconds interval = milliseconds(20)) {
    return {key, {ip("127.0.0.1"), port}, interval};
  }
  /// What was told last about `key`, once it is `wanted`.
  bool comes(const std::string& key, const std::string& wanted) {
    return run_until(io_, [&] { return last_[key] == wanted; });
  }

  asio::io_context io_;
  std::map<std::string, std::string> last_;
  std::map<std::string, int> told_;
  AgentWatch watch_{io_.get_executor(), [this](const std::string& key, const AgentWatch::Result& result) {
                      last_[key] = result ? result->text : "! " + result.error();
                      told_[key]++;
                    }};
};

TEST_F(AgentWatchTest, AsksAgainAndAgain) {
  ScriptedServer agent(io_, says("up 75%\n"));
  watch_.set_targets({target("mta1", agent.port())});
  EXPECT_TRUE(comes("mta1", "up 75%"));
  agent.play(says("drain"));
  EXPECT_TRUE(comes("mta1", "drain")) << "a line without its end";
  EXPECT_EQ(agent.open_at_once_max(), 1u);
  EXPECT_TRUE(agent.last().lines.empty()) << "we say nothing";
}

TEST_F(AgentWatchTest, AsksAnAgentOnceForAllWhoShareIt) {
  ScriptedServer agent(io_, says("10%\n"));
  watch_.set_targets({target("a/mta1", agent.port()), target("b/mta1", agent.port())});
  ASSERT_TRUE(run_until(io_, [&] { return told_["b/mta1"] >= 3; }));
  EXPECT_EQ(told_["a/mta1"], told_["b/mta1"]);
  EXPECT_LE(agent.connections(), 4u);
}

TEST_F(AgentWatchTest, SaysWhatIsWrongWithBadAgents) {
  struct Case {
    testing::Script script;
    const char* wanted;
  };
  const Case cases[] = {
      {says("220 mx ESMTP\r\n"), "! the line has no word that is known: \"220 mx ESMTP\""},
      {says(""), "! it closed the connection without a word"},
      {says(std::string(100'000, 'x')), "! a line of more than 512 bytes"},
      {[](Peer& peer) -> asio::awaitable<void> { co_await peer.flood("50"); }, "! a line of more than 512 bytes"},
      {[](Peer& peer) -> asio::awaitable<void> {
         peer.reset();
         co_return;
       },
       "! the server reset the connection"},
      {[](Peer& peer) -> asio::awaitable<void> { co_await peer.trickle("up 100%\n", milliseconds(50)); },
       "! no line within 100 ms"},
      {[](Peer& peer) -> asio::awaitable<void> { co_await peer.read_to_end(); }, "! no line within 100 ms"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.wanted);
    last_.clear();
    ScriptedServer agent(io_, each.script);
    watch_.set_targets({target("mta1", agent.port(), milliseconds(100))});
    EXPECT_TRUE(comes("mta1", each.wanted)) << last_["mta1"];
    EXPECT_EQ(agent.open_at_once_max(), 1u);
    watch_.set_targets({});
  }
}

TEST_F(AgentWatchTest, SaysThatNobodyListens) {
  uint16_t port = 0;
  {
    ScriptedServer gone(io_, says("up"));
    port = gone.port();
  }
  watch_.set_targets({target("mta1", port)});
  EXPECT_TRUE(comes("mta1", "! connection refused"));
}

TEST_F(AgentWatchTest, IsSilentAboutWhatItNoLongerWatches) {
  ScriptedServer agent(io_, says("up\n"));
  watch_.set_targets({target("mta1", agent.port())});
  ASSERT_TRUE(comes("mta1", "up"));
  watch_.set_targets({target("mta2", agent.port())});
  const int before = told_["mta1"];
  ASSERT_TRUE(run_until(io_, [&] { return told_["mta2"] >= 2; }));
  EXPECT_EQ(told_["mta1"], before);
}

TEST(AgentWatch, AShorterIntervalHoldsAtOnceForThoseThatStay) {
  asio::io_context io;
  ScriptedServer server(io, [](Peer& peer) -> asio::awaitable<void> { co_await peer.send("up\n"); });
  int answers = 0;
  AgentWatch watch(io.get_executor(), [&](const std::string&, const AgentWatch::Result&) { answers++; });
  const config::SocketAddress agent{ip("127.0.0.1"), server.port()};
  watch.set_targets({{.key = "mta1", .agent = agent, .interval = std::chrono::hours(1)}});
  ASSERT_TRUE(run_until(io, [&] { return answers == 1; }));
  watch.set_targets({{.key = "mta1", .agent = agent, .interval = milliseconds(20)}});
  EXPECT_TRUE(run_until(io, [&] { return answers >= 3; }));
}

}  // namespace
}  // namespace sluice::health
