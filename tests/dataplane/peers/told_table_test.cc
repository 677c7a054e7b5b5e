// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/told_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "tests/dataplane/support/frame.h"

namespace sluice::testing {
namespace {

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);

ToldFlow flow_of(uint16_t port, FlowStage stage = FlowStage::kOpen) {
  return {.client = endpoint("198.51.100.7", port),
          .vip = kVip,
          .backend = kBackend,
          .local = {},
          .stage = stage,
          .splice = {}};
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

ToldFlow fullnat_flow(uint16_t port) {
  ToldFlow out = flow_of(port);
  out.forwarding = channel::Forwarding::kFullnat;
  out.local = endpoint("10.0.1.2", static_cast<uint16_t>(port + 1));
  return out;
}

TEST_F(ToldTableTest, FindsAFullnatFlowFromBothSides) {
  const ToldFlow told = fullnat_flow(1000);
  EXPECT_EQ(table_.put(told, 3, 100), ToldTable::Put::kNew);
  EXPECT_EQ(table_.from_client(told.client, kVip), told);
  EXPECT_EQ(table_.from_local(told.local, kBackend), told);
  EXPECT_EQ(table_.from_local(told.local, kVip), std::nullopt);
  EXPECT_EQ(table_.from_local(fullnat_flow(1001).local, kBackend), std::nullopt);
  EXPECT_EQ(table_.from_backend(told.client, kBackend), std::nullopt);
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_TRUE(table_.erase(told.client, kVip));
  EXPECT_EQ(table_.from_local(told.local, kBackend), std::nullopt);
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(ToldTableTest, AFullnatFlowIsWhereItWasToldLast) {
  const ToldFlow first = fullnat_flow(1000);
  ToldFlow next = first;
  next.backend = endpoint("10.0.1.11", 2525);
  table_.put(first, 0, 100);
  table_.put(next, 0, 101);
  EXPECT_EQ(table_.from_client(first.client, kVip), next);
  EXPECT_EQ(table_.from_local(first.local, first.backend), std::nullopt);
  ToldFlow moved = next;
  moved.local.port = Be16::of(7);
  table_.put(moved, 0, 102);
  EXPECT_EQ(table_.from_local(next.local, next.backend), std::nullopt);
  EXPECT_EQ(table_.from_local(moved.local, next.backend), moved);
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(ToldTableTest, KeepsHowTheHalvesOfAFlowDiffer) {
  ToldFlow told = fullnat_flow(1000);
  told.proxy_bytes = 127;
  told.splice =
      ToldSplice{.sequence = 0xfffffffe, .timestamp = 77, .client_scale = 15, .server_scale = 9, .timestamps = true};
  table_.put(told, 3, 100);
  EXPECT_EQ(table_.from_client(told.client, kVip), told);
  EXPECT_EQ(table_.from_local(told.local, kBackend), told);
  told.splice.reset();
  table_.put(told, 3, 101);
  EXPECT_EQ(table_.from_client(told.client, kVip), told) << "another session of the same client";
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(ToldTableTest, VisitsEachFlowOnceWithWhoToldIt) {
  table_.put(flow_of(1), 2, 100);
  table_.put(fullnat_flow(2), 5, 100);
  std::vector<uint32_t> tellers;
  table_.visit(0, table_.capacity(), [&](const ToldFlow& flow, uint32_t peer) {
    EXPECT_EQ(flow, peer == 2 ? flow_of(1) : fullnat_flow(2));
    tellers.push_back(peer);
  });
  std::ranges::sort(tellers);
  EXPECT_EQ(tellers, (std::vector<uint32_t>{2, 5}));
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

TEST_F(ToldTableTest, KeepsWhatIsOpenThoughAnotherNodeHasHeardASyn) {
  ToldFlow open = fullnat_flow(1000);
  open.splice = ToldSplice{.sequence = 9, .timestamp = 0, .client_scale = 1, .server_scale = 2, .timestamps = false};
  table_.put(open, 0, 100);
  const ToldFlow placed = flow_of(1000, FlowStage::kPlaced);
  EXPECT_EQ(table_.put(placed, 1, 101), ToldTable::Put::kKept);
  EXPECT_EQ(table_.from_client(open.client, kVip), open);
  EXPECT_EQ(table_.put(placed, 0, 102), ToldTable::Put::kRefreshed) << "its own node knows that it begins anew";
}

TEST_F(ToldTableTest, BelievesAnEndOfWhoToldTheFlow) {
  table_.put(flow_of(1000), 1, 100);
  EXPECT_FALSE(table_.erase(flow_of(1000).client, kVip, 0, 15)) << "it had the flow before";
  EXPECT_TRUE(table_.from_client(flow_of(1000).client, kVip));
  EXPECT_TRUE(table_.erase(flow_of(1000).client, kVip, 1, 15));
  table_.put(flow_of(1000), 15, 100);
  EXPECT_TRUE(table_.erase(flow_of(1000).client, kVip, 1, 15)) << "hearsay: whoever it is";
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
  b.proxy_bytes = 127;
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
