// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/block_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::StartsWith;

constexpr const char* kPrefix = "/sluice/blocks/";
constexpr const char* kValue =
    R"json({"since_ms": 1000, "until_ms": 61000, "node": "edge1", "who": "root (uid 0)"})json";

etcd::Record record(const std::string& name, const std::string& value, int64_t revision = 7) {
  return {.key = kPrefix + name, .value = value, .revision = revision};
}

config::IpPrefix prefix(const std::string& text) {
  return *config::IpPrefix::parse(text);
}

TEST(BlockBoard, ReadsBlocksWithTheirTimesAuthorsAndRevisions) {
  const BlockListing said = blocks_in({record("192.0.2.0/24", kValue)}, kPrefix);
  EXPECT_TRUE(said.faults.empty());
  const FleetBlock& block = said.heard.entries.at(prefix("192.0.2.0/24"));
  EXPECT_EQ(block, (FleetBlock{{from_ms(1000), from_ms(61000)}, "edge1", "root (uid 0)", 7}));
}

TEST(BlockBoard, NamesKeysThatMakeNoSenseAndRemembersTheirRevision) {
  const BlockListing said = blocks_in({record("192.0.2.0/24", "no block", 3), record("192.0.2.1/24", kValue),
                                       record("2001:DB8::/32", kValue), record("192.0.2.9", kValue), record("", kValue),
                                       record("198.51.100.0/24", R"({"since_ms": -1, "node": "edge1", "who": "x"})")},
                                      kPrefix);
  EXPECT_TRUE(said.heard.entries.empty());
  EXPECT_EQ(said.heard.revisions.at(prefix("192.0.2.0/24")), 3);
  EXPECT_THAT(
      said.faults,
      ElementsAre(StartsWith("/sluice/blocks/192.0.2.0/24: "), StartsWith("/sluice/blocks/192.0.2.1/24: has bits set"),
                  "/sluice/blocks/2001:DB8::/32: is written 2001:db8::/32",
                  "/sluice/blocks/192.0.2.9: is written 192.0.2.9/32", StartsWith("/sluice/blocks/: "),
                  StartsWith("/sluice/blocks/198.51.100.0/24: \"since_ms\": allowed: ")));
}

TEST(BlockBoard, TakesNoMoreThanThereMayBe) {
  std::vector<etcd::Record> records;
  for (size_t i = 0; i < kMostFleetBlocks + 5; i++)
    records.push_back(record(fmt::format("10.{}.{}.0/24", i / 256, i % 256), kValue));
  const BlockListing said = blocks_in(records, kPrefix);
  EXPECT_EQ(said.heard.entries.size(), kMostFleetBlocks);
  EXPECT_THAT(said.faults, ElementsAre("/sluice/blocks/: 5 more than the 1000 that may be blocked on all nodes"));
}

TEST(BlockBoard, AKeyOutlivesItsTimeALittleAndOneForGoodHasNoEnd) {
  const FleetBlock timed{{from_ms(1000), from_ms(61001)}, "edge1", "root"};
  const FencedChange change = fenced({prefix("192.0.2.0/24"), 7, timed});
  EXPECT_EQ(change.name, "192.0.2.0/24");
  EXPECT_EQ(change.revision, 7);
  EXPECT_EQ(*fleet_block_from(*change.value), timed);
  EXPECT_EQ(change.lasts, 121s);
  EXPECT_FALSE(fenced({prefix("192.0.2.0/24"), 7, FleetBlock{{from_ms(0), {}}, "e", "w"}}).lasts);
  EXPECT_FALSE(fenced({prefix("192.0.2.0/24"), 7, {}}).value);
}

TEST(FencedChange, TellsWhoWasFasterOrThatAllIsAsItShouldBe) {
  const std::vector<FencedChange> puts{{"a", 3, kValue}}, takes{{"a", 3, {}}};
  EXPECT_FALSE(conflict_in(puts, kPrefix, {record("a", kValue)})) << "made twice";
  EXPECT_FALSE(conflict_in(takes, kPrefix, {record("b", kValue)}));
  EXPECT_EQ(conflict_in(puts, kPrefix, {}), "a: what was said of it was taken back meanwhile");
  EXPECT_EQ(conflict_in(puts, kPrefix, {record("a", R"({"node": "edge2", "who": "ops\u0007"})")}),
            "a was changed meanwhile by ops  at edge2: look at it, and say it again");
  EXPECT_EQ(conflict_in(takes, kPrefix, {record("a", "?")}),
            "a was changed meanwhile by somebody at somebody: look at it, and say it again");
}

}  // namespace
}  // namespace sluice::control
