// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/told_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);

ToldFlow flow_of(uint16_t port, FlowStage stage = FlowStage::kOpen) {
  return {.client = endpoint("198.51.100.7", port), .vip = kVip, .backend = kBackend, .stage = stage};
}

class ToldTableTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kFlows = 64;
  ToldTableTest() { std::memset(memory_.get(), 0, ToldTable::bytes_for(kFlows)); }

  std::unique_ptr<std::byte, decltype(&free)> memory_{
      static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for(kFlows))), &free};
  ToldTable table_{memory_.get(), kFlows, 7};
};

TEST_F(ToldTableTest, FindsAFlowFromBothSidesAsItWasTold) {
  ToldFlow told = flow_of(1000);
  told.proxy_bytes = 28;
  EXPECT_EQ(table_.put(told, 3, 100), ToldTable::Put::kNew);
  EXPECT_EQ(table_.from_client(told.client, kVip), told);
  EXPECT_EQ(table_.from_backend(told.client, kBackend), told);
  EXPECT_EQ(table_.from_client(told.client, kBackend), std::nullopt);
  EXPECT_EQ(table_.from_client(flow_of(1001).client, kVip), std::nullopt);
}

TEST_F(ToldTableTest, OfAnotherModeKnowsNothingFromTheBackendsSide) {
  ToldFlow told = flow_of(1000);
  told.forwarding = channel::Forwarding::kDsr;
  table_.put(told, 0, 100);
  EXPECT_EQ(table_.from_client(told.client, kVip), told);
  EXPECT_EQ(table_.from_backend(told.client, kBackend), std::nullopt);
}

TEST_F(ToldTableTest, ReplacesWhatWasToldBeforeAndForgetsWhatHasEnded) {
  table_.put(flow_of(1000, FlowStage::kPlaced), 0, 100);
  EXPECT_EQ(table_.put(flow_of(1000), 1, 101), ToldTable::Put::kRefreshed);
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_EQ(table_.from_client(flow_of(1000).client, kVip)->stage, FlowStage::kOpen);
  EXPECT_TRUE(table_.erase(flow_of(1000).client, kVip));
  EXPECT_FALSE(table_.erase(flow_of(1000).client, kVip));
  EXPECT_EQ(table_.from_client(flow_of(1000).client, kVip), std::nullopt);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(ToldTableTest, NeverHoldsMoreThanItsCapacityAndOpenFlowsDoNotGiveWayToPlacedOnes) {
  for (uint16_t port = 1; port <= 500; port++) table_.put(flow_of(port), 0, port);
  EXPECT_EQ(table_.size(), table_.capacity());
  for (uint16_t port = 1001; port <= 1500; port++) {
    EXPECT_EQ(table_.put(flow_of(port, FlowStage::kPlaced), 0, 600), ToldTable::Put::kNoRoom);
  }
  EXPECT_EQ(table_.put(flow_of(2000), 0, 600), ToldTable::Put::kDisplaced);
  EXPECT_TRUE(table_.from_client(flow_of(2000).client, kVip));
  EXPECT_TRUE(table_.from_client(flow_of(500).client, kVip)) << "the newest has given way";
  EXPECT_EQ(table_.size(), table_.capacity());
}

TEST_F(ToldTableTest, SweepErasesWhatIsOver) {
  table_.put(flow_of(1), 1, 100);
  table_.put(flow_of(2), 2, 100);
  table_.put(flow_of(3), 1, 190);
  const auto is_over = [](uint32_t peer, uint32_t age_s) { return peer == 1 && age_s > 50; };
  EXPECT_EQ(table_.sweep(0, table_.capacity(), 200, is_over), 1u);
  EXPECT_FALSE(table_.from_client(flow_of(1).client, kVip));
  EXPECT_TRUE(table_.from_client(flow_of(2).client, kVip));
  EXPECT_TRUE(table_.from_client(flow_of(3).client, kVip));
}

TEST_F(ToldTableTest, AReaderNeverSeesHalfOfAFlow) {
  std::atomic<bool> done{false};
  ToldFlow a = flow_of(1000), b = flow_of(1000);
  b.backend = endpoint("2001:db8::ffff", 65535);
  b.proxy_bytes = 255;
  b.stage = FlowStage::kPlaced;
  table_.put(a, 0, 1);
  std::thread writer([&] {
    for (uint32_t i = 0; i < 200'000; i++) table_.put(i % 2 == 0 ? b : a, 0, i);
    done.store(true, std::memory_order_relaxed);
  });
  while (!done.load(std::memory_order_relaxed)) {
    const auto seen = table_.from_client(a.client, kVip);
    if (!seen) continue;  // it was being written
    ASSERT_TRUE(*seen == a || *seen == b);
  }
  writer.join();
}

}  // namespace
}  // namespace sluice::testing
