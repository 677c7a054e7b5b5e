// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/node_report.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

constexpr const char* kPrefix = "/sluice/nodes/";

NodeReport report(const std::string& node) {
  return {.node = node,
          .instance = "00ff00ff",
          .host = "rack7",
          .zone = "a",
          .version = "0.1.0",
          .file = digest_of("text"),
          .included = {{"region.cfg", "11"}},
          .own = "node.cfg",
          .time = "2026-11-29T12:00:00.000Z",
          .up = 5,
          .down = 1,
          .sessions = 7,
          .tables = {{"mta:25", "00ff"}}};
}

TEST(NodeReport, IsReadAsItWasWritten) {
  NodeReport wanted = report("edge1");
  EXPECT_EQ(report_from({kPrefix + wanted.node, to_text(wanted), 1}, kPrefix), wanted);
  wanted.sessions.reset();
  wanted.included.clear();
  wanted.own.clear();
  EXPECT_EQ(report_from({kPrefix + wanted.node, to_text(wanted), 1}, kPrefix), wanted);
}

TEST(NodeReport, OfMoreFilesThanAreReadTellsAllTheSameThatTheyDiffer) {
  NodeReport many = report("edge1");
  for (int i = 0; i < 300; i++) many.included.emplace(std::to_string(i) + ".cfg", "1");
  many.included.emplace(std::string(257, 'a'), "1");
  const auto read = report_from({kPrefix + many.node, to_text(many), 1}, kPrefix);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->included.size(), 256U);
  many.included.rbegin()->second = "2";
  const auto other = report_from({kPrefix + many.node, to_text(many), 1}, kPrefix);
  ASSERT_TRUE(other);
  EXPECT_NE(other->included.at("other files"), read->included.at("other files"));
}

TEST(NodeReport, OfAnotherShapeIsNone) {
  for (const char* wrong : {"", "{}", "[]", R"({"zone": 1})"}) {
    const auto read = report_from({"/sluice/nodes/edge1", wrong, 1}, kPrefix);
    ASSERT_FALSE(read) << wrong;
    EXPECT_EQ(read.error(), "/sluice/nodes/edge1: is not what a node says of itself");
  }
  NodeReport late = report("edge1");
  late.version = std::string(257, 'x');
  EXPECT_FALSE(report_from({"/sluice/nodes/edge1", to_text(late), 1}, kPrefix));
}

TEST(NodeReport, ShowsNoBytesToATerminal) {
  NodeReport foreign = report("edge\x1b");
  foreign.version = "\x1b[2J";
  const auto read = report_from({kPrefix + foreign.node, to_text(foreign), 1}, kPrefix);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->node, "edge ");
  EXPECT_EQ(read->version, " [2J");
}

TEST(Differences, AreWhatNodesDoNotHaveInCommon) {
  const NodeReport first = report("edge1");
  NodeReport second = report("edge2"), third = report("edge3");
  EXPECT_TRUE(differences({}).empty());
  EXPECT_TRUE(differences({first, second, third}).empty());
  second.zone = "b";  // as it should be
  second.sessions = 0;
  second.up = 4;
  second.included = {{"region.cfg", "12"}};
  EXPECT_TRUE(differences({first, second}).empty());
  second.version = "0.2.0";
  third.tables = {{"mta:25", "00fe"}, {"other:25", "1"}};
  const std::vector<Difference> wanted{
      {"version", {{"0.1.0", {"edge1", "edge3"}}, {"0.2.0", {"edge2"}}}},
      {"table of mta:25 in zone a", {{"00ff", {"edge1"}}, {"00fe", {"edge3"}}}},
      {"table of other:25 in zone a", {{"", {"edge1"}}, {"1", {"edge3"}}}},
  };
  EXPECT_EQ(differences({first, second, third}), wanted);
}

TEST(Differences, OfRegionsFilesAndHealthAreThoseWithinAZone) {
  const NodeReport first = report("edge1");
  NodeReport second = report("edge2");
  second.included = {{"region.cfg", "12"}, {"more.cfg", "1"}};
  second.up = 4;
  second.down = 2;
  const std::vector<Difference> wanted{
      {"more.cfg in zone a", {{"", {"edge1"}}, {"1", {"edge2"}}}},
      {"region.cfg in zone a", {{"11", {"edge1"}}, {"12", {"edge2"}}}},
      {"backends up in zone a", {{"5/6", {"edge1"}}, {"4/6", {"edge2"}}}},
  };
  EXPECT_EQ(differences({first, second}), wanted);
}

TEST(Differences, OfFilesAreThoseOfNodesWhoseOwnTheyAreNot) {
  NodeReport first = report("edge1"), second = report("edge2"), third = report("edge3");
  first.own = "edge1.cfg";
  second.own = "edge2.cfg";
  second.included["edge1.cfg"] = third.included["edge1.cfg"] = "5";
  third.included["edge2.cfg"] = "6";
  const std::vector<Difference> wanted{{"edge2.cfg in zone a", {{"", {"edge1"}}, {"6", {"edge3"}}}}};
  EXPECT_EQ(differences({first, second, third}), wanted);
}

TEST(Differences, OfTablesAreThoseWithinAZone) {
  NodeReport north = report("north1"), south = report("south1"), other = report("south2");
  south.zone = other.zone = "b";
  south.tables = other.tables = {{"mta:25", "00fe"}, {"spare:25", "1"}};
  EXPECT_TRUE(differences({north, south, other}).empty());
  other.tables.erase("spare:25");
  const std::vector<Difference> wanted{{"table of spare:25 in zone b", {{"1", {"south1"}}, {"", {"south2"}}}}};
  EXPECT_EQ(differences({north, south, other}), wanted);
  south.zone = other.zone = north.zone = "";  // nobody says where it is
  EXPECT_EQ(differences({north, south}).at(0).what, "table of mta:25");
}

}  // namespace
}  // namespace sluice::control
