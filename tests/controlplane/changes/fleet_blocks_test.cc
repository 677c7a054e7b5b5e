// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/fleet_blocks.h"

#include <gtest/gtest.h>

#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

config::IpPrefix prefix(const std::string& text) {
  return *config::IpPrefix::parse(text);
}

class FleetBlocksTest : public testing::Test {
 protected:
  FleetBlocks make() { return {journal_, directory_.path()}; }
  FleetBlock block(std::optional<std::chrono::seconds> lasts, int64_t revision = 5) const {
    FleetBlock out{{now_, {}}, "edge1", "root (uid 0)", revision};
    if (lasts) out.block.until = now_ + *lasts;
    return out;
  }
  static FleetBlocksHeard heard(FleetBlockEntries entries) {
    FleetBlocksHeard out{std::move(entries), {}};
    for (const auto& [each, block] : out.entries) out.revisions.emplace(each, block.revision);
    return out;
  }
  std::string last_event() const { return journal_.entries().empty() ? "" : journal_.entries().back().text; }

  SystemTime now_ = from_ms(1'790'000'000'000);
  StateDirectory directory_;
  Journal journal_{[this] { return now_; }};
  const config::IpPrefix net_ = prefix("192.0.2.0/24"), other_ = prefix("2001:db8::/32");
};

TEST_F(FleetBlocksTest, HoldWhatIsSaidNowAndTellWhoSaidItWhere) {
  FleetBlocks blocks = make();
  EXPECT_TRUE(blocks.hear(heard({{net_, block(600s)}})));
  EXPECT_EQ(last_event(), "blocked on all nodes until 2026-09-21T14:23:20.000Z (root (uid 0) at edge1)");
  EXPECT_FALSE(blocks.hear(heard({{net_, block(600s)}}))) << "nothing new";
  EXPECT_EQ(journal_.entries().size(), 1u);
  EXPECT_FALSE(blocks.hear(heard({{net_, block({}, 6)}}))) << "the same prefix, for another time";
  EXPECT_EQ(last_event(), "blocked on all nodes (root (uid 0) at edge1)");
  EXPECT_EQ(blocks.revision_of(net_), 6);
  EXPECT_EQ(blocks.revision_of(other_), 0);
  EXPECT_TRUE(blocks.hear(heard({{other_, block({})}})));
  EXPECT_EQ(blocks.entries().size(), 1u);
  EXPECT_EQ(last_event(), "no longer blocked on all nodes");
}

TEST_F(FleetBlocksTest, EndAtTheirTimeWhetherHeardOrNot) {
  FleetBlocks blocks = make();
  blocks.hear(heard({{net_, block(600s)}, {other_, block({})}}));
  const FleetBlocksHeard same = heard({{net_, block(600s)}, {other_, block({})}});
  now_ += 599s;
  EXPECT_FALSE(blocks.tick());
  now_ += 1s;
  EXPECT_TRUE(blocks.tick());
  EXPECT_EQ(blocks.entries().size(), 1u);
  EXPECT_EQ(last_event(), "no longer blocked on all nodes: its time is up");
  EXPECT_FALSE(blocks.hear(same)) << "its key outlives it";
  EXPECT_FALSE(blocks.entries().contains(net_));
  EXPECT_EQ(blocks.revision_of(net_), 5) << "for whoever blocks it again";
}

TEST_F(FleetBlocksTest, OutliveAProcessButNotTheirTime) {
  make().hear(heard({{net_, block(600s)}, {other_, block({})}}));
  FleetBlocks next = make();
  next.restore();
  EXPECT_EQ(next.entries(), (FleetBlockEntries{{net_, block(600s)}, {other_, block({})}}));
  EXPECT_EQ(next.revision_of(net_), 5);
  now_ += 600s;
  FleetBlocks later = make();
  later.restore();
  EXPECT_EQ(later.entries().size(), 1u);
}

TEST_F(FleetBlocksTest, AFileThatMakesNoSenseIsSetAside) {
  for (const char* text :
       {"{", R"({"version": 2, "blocks": {}})", R"({"version": 1, "blocks": {"192.0.2.1/24": {}}})",
        R"({"version": 1, "blocks": {"192.0.2.0/24": {"since_ms": 1e30, "node": "", "who": ""}}})"}) {
    directory_.write("fleet-blocks.json", text);
    FleetBlocks blocks = make();
    blocks.restore();
    EXPECT_TRUE(blocks.entries().empty()) << text;
    EXPECT_NE(last_event().find("they are heard again from etcd"), std::string::npos) << last_event();
  }
}

}  // namespace
}  // namespace sluice::control
