// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "controlplane/ctl/command_line.h"
#include "controlplane/ctl/commands/commands.h"

namespace sluice::ctl {
namespace {

/// One command, `try BACKEND [WORD...] [--limit N] [--wait]`, that notes how it was called.
class CommandLine : public testing::Test {
 protected:
  CommandLine() {
    commands_.push_back({.name = "try",
                         .help = "Tries",
                         .arguments = {{.name = "BACKEND", .help = "which"},
                                       {.name = "WORD", .help = "more", .required = false, .many = true}},
                         .options = {{.name = "limit", .value = "N", .help = "how many"},
                                     {.name = "wait", .value = "", .help = "until done"}},
                         .run = [this](const Invocation& invocation) { return run(invocation); }});
  }
  Outcome run(const Invocation& invocation) {
    backend_ = invocation.text("BACKEND");
    words_ = invocation.texts("WORD");
    json_ = invocation.json;
    colours_ = invocation.colours;
    wait_ = invocation.has("wait");
    const auto limit = invocation.number("limit", 7, 1, 100);
    if (!limit) return std::unexpected(limit.error());
    limit_ = *limit;
    invocation.out() << "done\n";
    return {};
  }
  int call(std::vector<const char*> words, bool terminal = false) {
    words.insert(words.begin(), "sluicectl");
    out_.str("");
    complaints_.str("");
    return run_command_line(commands_, static_cast<int>(words.size()), words.data(), out_, complaints_, terminal);
  }

  std::vector<Command> commands_;
  std::ostringstream out_, complaints_;
  std::string backend_;
  std::vector<std::string> words_;
  uint64_t limit_ = 0;
  bool json_ = false, colours_ = false, wait_ = false;
};

TEST_F(CommandLine, HandsArgumentsAndOptionsOver) {
  EXPECT_EQ(call({"try", "mta/mta1", "a", "b", "--limit", "20", "--wait"}), 0) << complaints_.str();
  EXPECT_EQ(backend_, "mta/mta1");
  EXPECT_EQ(words_, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(limit_, 20u);
  EXPECT_TRUE(wait_);
  EXPECT_FALSE(json_);
  EXPECT_EQ(out_.str(), "done\n");
  EXPECT_EQ(call({"try", "mta1"}), 0);
  EXPECT_EQ(limit_, 7u);
  EXPECT_FALSE(wait_);
  EXPECT_TRUE(words_.empty());
}

TEST_F(CommandLine, TakesJsonBeforeAndAfterTheCommand) {
  EXPECT_EQ(call({"--json", "try", "x"}), 0);
  EXPECT_TRUE(json_);
  EXPECT_EQ(call({"try", "x", "--json"}), 0);
  EXPECT_TRUE(json_);
}

TEST_F(CommandLine, RefusesWrongUsage) {
  const std::vector<std::vector<const char*>> cases{{},
                                                    {"nothing"},
                                                    {"try"},
                                                    {"try", "x", "--limit"},
                                                    {"try", "x", "--limit", "0"},
                                                    {"try", "x", "--limit", "1e3"},
                                                    {"try", "x", "--limit", "99999999999999999999999"},
                                                    {"try", "x", "--wait=maybe"},
                                                    {"try", "x", "--unknown"},
                                                    {"--config", "a", "--socket", "b", "try", "x"}};
  for (const auto& words : cases) {
    SCOPED_TRACE(words.empty() ? "nothing" : words.back());
    EXPECT_EQ(call(words), 2);
    EXPECT_NE(complaints_.str(), "");
    EXPECT_EQ(out_.str(), "");
  }
}

TEST_F(CommandLine, GivesTheFailuresExitCode) {
  commands_[0].run = [](const Invocation&) { return std::unexpected(Failure{Exit::kUnfinished, "too slow"}); };
  EXPECT_EQ(call({"try", "x"}), 5);
  EXPECT_EQ(complaints_.str(), "sluicectl: too slow\n");
}

TEST_F(CommandLine, ColoursOnlyATerminalThatWantsThem) {
  unsetenv("NO_COLOR");
  call({"try", "x"});
  EXPECT_FALSE(colours_);
  call({"try", "x"}, true);
  EXPECT_TRUE(colours_);
  setenv("NO_COLOR", "1", 1);
  call({"try", "x"}, true);
  EXPECT_FALSE(colours_);
  unsetenv("NO_COLOR");
}

TEST_F(CommandLine, HelpGoesWhereItWasAskedFor) {
  EXPECT_EQ(call({"--help"}), 0);
  EXPECT_NE(out_.str().find("Exit code"), std::string::npos);
  EXPECT_EQ(call({"try", "--help"}), 0);
  EXPECT_NE(out_.str().find("BACKEND"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("--limit N"), std::string::npos) << out_.str();
}

TEST(Commands, HaveNamesOfTheirOwnAndOneLineOfHelp) {
  std::set<std::string> names;
  for (const Command& command : all_commands()) {
    SCOPED_TRACE(command.name);
    EXPECT_TRUE(names.insert(command.name).second);
    EXPECT_FALSE(command.help.empty());
    EXPECT_EQ(command.help.find('\n'), std::string::npos);
    EXPECT_TRUE(command.run);
  }
}

Invocation with(std::ostream& out, const std::string& value) {
  return {out, [] { return std::unexpected(Failure{}); }, {{"deadline", {value}}}};
}

TEST(Invocation, ReadsTimes) {
  std::ostringstream out;
  const std::vector<std::pair<std::string, uint64_t>> good{
      {"90", 90}, {"90s", 90}, {"10m", 600}, {"2h", 7200}, {"1d", 86400}};
  for (const auto& [text, expected] : good) EXPECT_EQ(with(out, text).seconds("deadline", 1, 86400), expected) << text;
  EXPECT_EQ(with(out, "5").seconds("absent", 17, 86400), 17u);
  for (const std::string text :
       {"", "m", "-1", "1w", "10 m", "2d", "99999999999999999999d", "1h30m", "213503982334602d"}) {
    EXPECT_FALSE(with(out, text).seconds("deadline", 1, 86400)) << text;
  }
}

TEST(PathSegment, KeepsNamesInOnePiece) {
  EXPECT_EQ(path_segment("mta-1_a.b~c"), "mta-1_a.b~c");
  EXPECT_EQ(path_segment("a/b c?d%"), "a%2Fb%20c%3Fd%25");
  EXPECT_EQ(path_segment("\xc3\xa9"), "%C3%A9");
}

}  // namespace
}  // namespace sluice::ctl
