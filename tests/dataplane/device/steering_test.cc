// SPDX-License-Identifier: Apache-2.0
//
// What cards are told, so that they put packets before the worker that has their flow. No card of these kinds is at
// hand: what is held here is what they are asked for.
#include "dataplane/device/steering.h"

#include <gtest/gtest.h>
#include <rte_ethdev.h>

#include <string>
#include <vector>

#include "dataplane/flow/owner_table.h"

namespace sluice {
namespace {

constexpr uint64_t kSource = RTE_ETH_RSS_L3_SRC_ONLY | RTE_ETH_RSS_L4_SRC_ONLY;
constexpr uint64_t kDestination = RTE_ETH_RSS_L3_DST_ONLY | RTE_ETH_RSS_L4_DST_ONLY;
constexpr uint64_t kSides = kSource | kDestination;
constexpr uint64_t kAddresses = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6;

TEST(Steering, IsPlannedByWhatADriverTakes) {
  const struct {
    const char* description;
    RssCapabilities device;
    Faces faces;
    uint32_t workers;
    SteeringPlan plan;
    const char* why_not;
  } cases[] = {
      {"a driver that knows the sides",
       {"net_cn10k", kRssTcp | kSides, 64, 48},
       Faces::kClients,
       4,
       {true, kRssTcp | kSource, 48, 64, Rules::kNone},
       ""},
      {"towards mail servers clients are the destination",
       {"net_hns3", kRssTcp | kSides, 512, 40},
       Faces::kBackends,
       3,
       {true, kRssTcp | kDestination, 40, 512, Rules::kNone},
       ""},
      {"mlx5 is told by rules too, takes one side only beside addresses, and for IPv6 one type more",
       {"mlx5_pci", kRssTcp | kSides | kAddresses | RTE_ETH_RSS_IPV6_TCP_EX, 1024, 40},
       Faces::kClients,
       8,
       {true, kRssTcp | kSource | kAddresses | RTE_ETH_RSS_IPV6_TCP_EX, 40, 512, Rules::kWhole},
       ""},
      {"and takes a table of any size, up to what it says",
       {"mlx5_pci", kRssTcp | kSides | RTE_ETH_RSS_IPV4, 300, 40},
       Faces::kBackends,
       8,
       {true, kRssTcp | kDestination | RTE_ETH_RSS_IPV4, 40, 256, Rules::kWhole},
       ""},
      {"so that it may be too small",
       {"mlx5_pci", kRssTcp | kSides | kAddresses, 4, 40},
       Faces::kClients,
       8,
       {},
       "its redirection table has 4 entries"},
      {"or none",
       {"mlx5_pci", kRssTcp | kSides | kAddresses, 0, 40},
       Faces::kClients,
       8,
       {},
       "its redirection table has 0 entries"},
      {"ice knows the sides by rules alone",
       {"net_ice", kRssTcp, 512, 52},
       Faces::kClients,
       4,
       {true, kRssTcp, 52, 512, Rules::kTypes},
       ""},
      {"and so does iavf",
       {"net_iavf", kRssTcp, 64, 52},
       Faces::kBackends,
       4,
       {true, kRssTcp, 52, 64, Rules::kTypes},
       ""},
      {"ntnic says that it does, and does not",
       {"net_ntnic", kRssTcp | kSides, 128, 40},
       Faces::kClients,
       4,
       {},
       "its card has one hash for all of its ports"},
      {"an ordinary card", {"net_ixgbe", kRssTcp, 128, 40}, Faces::kClients, 4, {}, "it cannot hash by one side alone"},
      {"one that knows the other side only",
       {"net_new", kRssTcp | kSource, 128, 40},
       Faces::kBackends,
       4,
       {},
       "it cannot hash by one side alone"},
      {"ice without its package has no RSS",
       {"net_ice", 0, 512, 52},
       Faces::kClients,
       4,
       {},
       "it cannot hash by one side alone"},
      {"either side may be the client",
       {"net_cn10k", kRssTcp | kSides, 64, 48},
       Faces::kBoth,
       4,
       {},
       "clients and mail servers come by it"},
      {"no key", {"net_new", kRssTcp | kSides, 64, 0}, Faces::kClients, 4, {}, "it takes no hash key"},
      {"no table", {"net_new", kRssTcp | kSides, 0, 40}, Faces::kClients, 4, {}, "its redirection table has 0 entries"},
      {"a table of another size",
       {"net_new", kRssTcp | kSides, 100, 40},
       Faces::kClients,
       4,
       {},
       "its redirection table has 100 entries"},
      {"more workers than entries",
       {"net_new", kRssTcp | kSides, 2, 40},
       Faces::kClients,
       4,
       {},
       "its redirection table has 2 entries"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.description);
    std::string why_not;
    EXPECT_EQ(plan_steering(c.device, c.faces, c.workers, why_not), c.plan);
    EXPECT_EQ(why_not, c.why_not);
  }
}

TEST(Steering, TheKeyRepeatsOneWord) {
  for (size_t i = 0; i < 52; i++) EXPECT_EQ(owner_key()[i], i % 2 == 0 ? 0x6d : 0x5a);
}

TEST(Steering, TheSmallestTableSaysHowManyClassesThereAre) {
  const SteeringPlan large{.steers = true, .table_entries = 512}, small{.steers = true, .table_entries = 64}, none;
  EXPECT_EQ(classes_for(std::vector{none, none}), kMostClasses);
  EXPECT_EQ(classes_for(std::vector{large, none}), 512u);
  EXPECT_EQ(classes_for(std::vector{large, small, none}), 64u);
  EXPECT_EQ(classes_for(std::vector{SteeringPlan{.steers = true, .table_entries = 2048}}), kMostClasses);
}

class SteeringRulesTest : public ::testing::Test {
 protected:
  std::vector<uint8_t> key_ = std::vector<uint8_t>(owner_key(), owner_key() + 40);
  std::vector<uint16_t> queues_{0, 1, 1, 0};
};

TEST_F(SteeringRulesTest, AreOfAllTcpOfEachFamily) {
  const auto rules = steering_rules(Rules::kTypes, client_rss_types(Faces::kClients), key_, queues_);
  const rte_flow_item_type families[] = {RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_IPV6};
  const uint64_t tcp[] = {RTE_ETH_RSS_NONFRAG_IPV4_TCP, RTE_ETH_RSS_NONFRAG_IPV6_TCP};
  for (size_t i = 0; i < 2; i++) {
    const SteeringRule& rule = rules[i];
    EXPECT_EQ(rule.pattern[0].type, RTE_FLOW_ITEM_TYPE_ETH);
    EXPECT_EQ(rule.pattern[1].type, families[i]);
    EXPECT_EQ(rule.pattern[2].type, RTE_FLOW_ITEM_TYPE_TCP);
    EXPECT_EQ(rule.pattern[3].type, RTE_FLOW_ITEM_TYPE_END);
    for (const rte_flow_item& item : rule.pattern) {
      EXPECT_EQ(item.spec, nullptr);
      EXPECT_EQ(item.mask, nullptr);
      EXPECT_EQ(item.last, nullptr);
    }
    EXPECT_EQ(rule.rss.func, RTE_ETH_HASH_FUNCTION_DEFAULT);
    EXPECT_EQ(rule.rss.level, 0u);
    EXPECT_EQ(rule.rss.types, tcp[i] | kSource);
  }
}

TEST_F(SteeringRulesTest, OfTypesNameNeitherKeyNorQueues) {
  for (const SteeringRule& rule : steering_rules(Rules::kTypes, client_rss_types(Faces::kBackends), key_, queues_)) {
    EXPECT_EQ(rule.rss.types & kSides, kDestination);
    EXPECT_EQ(rule.rss.key, nullptr);
    EXPECT_EQ(rule.rss.key_len, 0u);
    EXPECT_EQ(rule.rss.queue, nullptr);
    EXPECT_EQ(rule.rss.queue_num, 0u);
  }
}

TEST_F(SteeringRulesTest, ThatAreWholeNameBoth) {
  for (const SteeringRule& rule : steering_rules(Rules::kWhole, client_rss_types(Faces::kClients), key_, queues_)) {
    EXPECT_EQ(rule.rss.key, key_.data());
    EXPECT_EQ(rule.rss.key_len, 40u);
    EXPECT_EQ(rule.rss.queue, queues_.data());
    EXPECT_EQ(rule.rss.queue_num, 4u);
  }
}

TEST_F(SteeringRulesTest, AskForAddressesOfTheirFamilyWhereTheyAreTo) {
  const auto rules = steering_rules(Rules::kWhole, client_rss_types(Faces::kClients) | kAddresses, key_, queues_);
  EXPECT_EQ(rules[0].rss.types, RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | kSource);
  EXPECT_EQ(rules[1].rss.types, RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP | kSource);
}

}  // namespace
}  // namespace sluice
