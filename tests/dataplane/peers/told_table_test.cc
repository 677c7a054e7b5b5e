// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/told_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stop_token>
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
  explicit ToldTableTest(ToldTable::Room room = {64})
      : memory_{static_cast<std::byte*>(aligned_alloc(64, ToldTable::bytes_for(room))), &free},
        table_{(std::memset(memory_.get(), 0, ToldTable::bytes_for(room)), memory_.get()), room, 7} {}

  /// Each flow of the table is there with all that it needs, and no other entry is.
  void expect_all_whole() {
    size_t whole = 0;
    table_.visit(0, table_.capacity(), [&](const ToldFlow& flow, uint32_t) {
      whole++;
      EXPECT_EQ(table_.from_client(flow.client, flow.vip), flow);
      if (flow.forwarding == channel::Forwarding::kFullnat) {
        EXPECT_EQ(table_.from_local(flow.local, flow.backend), flow);
      }
    });
    EXPECT_EQ(whole, table_.size());
  }

  /// What a reader compares: the versions of all entries.
  std::vector<uint32_t> versions() const {
    std::vector<uint32_t> out(table_.capacity());
    for (size_t i = 0; i < out.size(); i++) std::memcpy(&out[i], memory_.get() + i * 64, sizeof out[i]);
    return out;
  }

  std::unique_ptr<std::byte, decltype(&free)> memory_;
  ToldTable table_;
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

/// One that takes three entries.
ToldFlow spliced_fullnat_flow(uint16_t port, FlowStage stage = FlowStage::kOpen) {
  ToldFlow out = fullnat_flow(port);
  out.stage = stage;
  out.splice = ToldSplice{.sequence = port, .timestamp = 77, .client_scale = 15, .server_scale = 9, .timestamps = true};
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
  ToldFlow told = spliced_fullnat_flow(1000);
  told.proxy_bytes = 127;
  told.splice->sequence = 0xfffffffe;
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

TEST_F(ToldTableTest, SweepErasesAllEntriesOfWhatIsOverAndCountsFlows) {
  for (uint16_t port = 1; port <= 5; port++) table_.put(spliced_fullnat_flow(port), 1, 100);
  uint32_t erased = 0;
  for (size_t at = 0; at < table_.capacity(); at++)
    erased += table_.sweep(at, 1, 200, [](uint32_t, uint32_t age_s) { return age_s > 50; });
  EXPECT_EQ(erased, 5u);
  EXPECT_EQ(table_.size(), 0u);
  table_.sweep(0, table_.capacity(), 200, [](auto...) { return ADD_FAILURE() << "an entry of no flow", false; });
}

TEST_F(ToldTableTest, ToldAgainAsItWasAFlowIsYoungAgainWithAllItsEntries) {
  table_.put(spliced_fullnat_flow(1), 1, 100);
  EXPECT_EQ(table_.put(spliced_fullnat_flow(1), 1, 190), ToldTable::Put::kRefreshed);
  EXPECT_EQ(table_.sweep(0, table_.capacity(), 200, [](uint32_t, uint32_t age_s) { return age_s > 50; }), 0u);
  EXPECT_EQ(table_.from_client(spliced_fullnat_flow(1).client, kVip), spliced_fullnat_flow(1));
}

TEST_F(ToldTableTest, ToldAgainByAnotherPeerAFlowIsItsAndNoReaderIsDisturbed) {
  const ToldFlow told = spliced_fullnat_flow(1);
  table_.put(told, 1, 100);
  const auto before = versions();
  EXPECT_EQ(table_.put(told, 14, 190), ToldTable::Put::kRefreshed);
  EXPECT_EQ(versions(), before);
  EXPECT_EQ(table_.from_local(told.local, kBackend), told);
  table_.sweep(0, table_.capacity(), 200, [](uint32_t peer, uint32_t age_s) {
    EXPECT_EQ(peer, 14u);
    EXPECT_EQ(age_s, 10u);
    return false;
  });
  EXPECT_FALSE(table_.erase(told.client, kVip, 1, 15));
  EXPECT_TRUE(table_.erase(told.client, kVip, 14, 15));
}

TEST_F(ToldTableTest, OurOwnFlowIsNeitherChangedNorEndedByPeers) {
  const ToldFlow own = fullnat_flow(1);
  table_.put(own, 15, 100, 3);
  const auto before = versions();
  EXPECT_EQ(table_.put(own, 2, 110), ToldTable::Put::kKept);
  EXPECT_EQ(table_.put(own, 15, 160, 3), ToldTable::Put::kRefreshed);
  EXPECT_EQ(versions(), before);
  EXPECT_FALSE(table_.erase(own.client, kVip, 2, 15)) << "it has gone on here";
  EXPECT_EQ(table_.worker_of(own.local, kBackend), 3u);
  ToldFlow next = own;
  next.local.port = Be16::of(9000);
  EXPECT_EQ(table_.put(next, 2, 170), ToldTable::Put::kRefreshed) << "another session of the client";
  table_.put(own, 15, 180, 3);
  EXPECT_TRUE(table_.erase(own.client, kVip)) << "as we know ourselves";
}

TEST_F(ToldTableTest, TwoClientsAreNotAtOneEndpointWithOneBackend) {
  const ToldFlow first = fullnat_flow(1000);
  ToldFlow second = fullnat_flow(2000);
  second.local = first.local;
  table_.put(first, 0, 100);
  second.stage = FlowStage::kPlaced;
  EXPECT_EQ(table_.put(second, 1, 101), ToldTable::Put::kNoRoom) << "a SYN ends nothing";
  EXPECT_EQ(table_.from_local(first.local, kBackend), first);
  second.stage = FlowStage::kOpen;
  EXPECT_EQ(table_.put(second, 1, 102), ToldTable::Put::kNew);
  EXPECT_EQ(table_.from_local(first.local, kBackend), second);
  EXPECT_EQ(table_.from_client(first.client, kVip), std::nullopt) << "its end has not been told";
  expect_all_whole();
}

TEST_F(ToldTableTest, AClientsFlowsToTwoVipsAreNotMixedAtOneEndpoint) {
  const ToldFlow first = fullnat_flow(1000);
  ToldFlow second = first;
  second.vip = endpoint("192.0.2.26", 25);
  second.backend = endpoint("10.0.1.11", 2525);
  table_.put(first, 0, 100);
  table_.put(second, 0, 101);
  EXPECT_EQ(table_.from_client(second.client, second.vip), second);
  EXPECT_EQ(table_.from_client(first.client, first.vip), std::nullopt);
  EXPECT_EQ(table_.from_local(first.local, first.backend), std::nullopt);
  expect_all_whole();
}

TEST(ToldTableRoom, IsForAllEntriesOfSoManyFlows) {
  using Room = ToldTable::Room;
  EXPECT_EQ(Room::entries_of(false, false), 1u);
  EXPECT_EQ(Room::entries_of(true, true), ToldTable::kMostEntries);
  EXPECT_EQ(ToldTable::capacity_for({.flows = 65536, .entries_each = 1}), 65536u);
  EXPECT_EQ(ToldTable::capacity_for({.flows = 65536, .entries_each = 2}), 131072u);
  EXPECT_GE(ToldTable::capacity_for({.flows = 65536, .entries_each = 3}), 3 * 65536u);
  ToldTable table(nullptr, {.flows = 1000, .entries_each = 3}, 7);
  EXPECT_GE(table.most_flows(), 1000u);
  EXPECT_LE(3 * table.most_flows(), table.capacity());
}

/// A table of a single bucket: all entries compete for eight places.
class ToldBucket : public ToldTableTest {
 protected:
  ToldBucket() : ToldTableTest({ToldTable::kPlaces}) {}
};

TEST_F(ToldBucket, AFlowDisplacesOthersAndNoneOfItsOwnEntries) {
  for (uint16_t port = 1; port <= 8; port++) table_.put(flow_of(port), 0, port);
  EXPECT_EQ(table_.put(spliced_fullnat_flow(100), 0, 100), ToldTable::Put::kDisplaced);
  EXPECT_EQ(table_.from_client(spliced_fullnat_flow(100).client, kVip), spliced_fullnat_flow(100));
  EXPECT_EQ(table_.size(), 6u) << "three have given way";
  expect_all_whole();
  for (uint16_t port = 101; port <= 300; port++) {
    const ToldFlow told = port % 3 == 0 ? flow_of(port) : spliced_fullnat_flow(port);
    table_.put(told, 0, port);
    ASSERT_EQ(table_.from_client(told.client, kVip), told);
    expect_all_whole();
  }
}

TEST_F(ToldBucket, WhatGivesWayDoesSoWithAllItsEntries) {
  table_.put(spliced_fullnat_flow(1), 0, 100);
  for (uint16_t port = 2; port <= 6; port++) table_.put(flow_of(port), 0, 101);
  EXPECT_EQ(table_.put(flow_of(7), 0, 102), ToldTable::Put::kDisplaced);
  EXPECT_EQ(table_.from_local(spliced_fullnat_flow(1).local, kBackend), std::nullopt);
  EXPECT_EQ(table_.put(flow_of(8), 0, 102), ToldTable::Put::kNew) << "three places were its";
  EXPECT_EQ(table_.put(flow_of(9), 0, 102), ToldTable::Put::kNew);
  EXPECT_EQ(table_.size(), 8u);
  expect_all_whole();
}

TEST_F(ToldBucket, AFlowForWhichThereIsNotAllTheRoomTakesNone) {
  for (uint16_t port = 1; port <= 6; port++) table_.put(flow_of(port), 0, 100);
  EXPECT_EQ(table_.put(spliced_fullnat_flow(10, FlowStage::kPlaced), 0, 101), ToldTable::Put::kNoRoom);
  EXPECT_EQ(table_.from_client(flow_of(10).client, kVip), std::nullopt);
  EXPECT_EQ(table_.size(), 6u);
  EXPECT_EQ(table_.put(flow_of(7, FlowStage::kPlaced), 0, 101), ToldTable::Put::kNew);
  EXPECT_EQ(table_.put(flow_of(8, FlowStage::kPlaced), 0, 101), ToldTable::Put::kNew);
}

TEST_F(ToldBucket, AFlowThatBeginsAnewAndFindsNoRoomIsForgottenAsItWas) {
  for (uint16_t port = 1; port <= 7; port++) table_.put(flow_of(port), 0, 100);
  table_.put(flow_of(8), 1, 100);
  EXPECT_EQ(table_.put(spliced_fullnat_flow(8, FlowStage::kPlaced), 1, 101), ToldTable::Put::kNoRoom);
  EXPECT_EQ(table_.from_client(flow_of(8).client, kVip), std::nullopt);
  EXPECT_EQ(table_.size(), 7u);
  EXPECT_EQ(table_.put(flow_of(9, FlowStage::kPlaced), 0, 101), ToldTable::Put::kNew);
  expect_all_whole();
}

/// `a` and `b` are told by turns, of which a reader has to see both, many times, and nothing else. The writer pauses
/// for a little longer each time, so that the reader meets each moment of it; now and then it waits for the reader to
/// look.
template <typename Look>
void expect_only(ToldTable& table, const ToldFlow& a, const ToldFlow& b, Look look) {
  constexpr uint32_t kTimes = 20'000, kPutsUnseen = 63, kLongestPause = 1001, kLooksAtOnce = 256;
  std::atomic<uint32_t> looks{0};
  const std::jthread writer([&](const std::stop_token& stop) {
    for (uint32_t i = 0, seen = 0; !stop.stop_requested(); i++) {
      table.put(i % 2 == 0 ? a : b, 0, i);
      for (uint32_t pause = i % kLongestPause; pause > 0; pause--) std::atomic_signal_fence(std::memory_order_seq_cst);
      if (i % kPutsUnseen != 0) continue;
      while (looks.load(std::memory_order_relaxed) == seen && !stop.stop_requested()) std::this_thread::yield();
      seen = looks.load(std::memory_order_relaxed);
    }
  });
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  uint32_t seen_a = 0, seen_b = 0;
  while ((seen_a < kTimes || seen_b < kTimes) && std::chrono::steady_clock::now() < give_up) {
    const std::optional<ToldFlow> seen = look(seen_a <= seen_b);
    looks.fetch_add(1, std::memory_order_relaxed);
    if (looks % kLooksAtOnce == 0) std::this_thread::yield();  // they may share a core
    if (!seen) continue;                                       // it was being written
    if (*seen != a && *seen != b) {
      ADD_FAILURE() << "neither";
      return;
    }
    (*seen == a ? seen_a : seen_b)++;
  }
  EXPECT_GE(seen_a, kTimes);
  EXPECT_GE(seen_b, kTimes);
}

TEST_F(ToldTableTest, AReaderNeverSeesHalfOfAFlow) {
  const ToldFlow a = flow_of(1000);
  ToldFlow b = flow_of(1000, FlowStage::kPlaced);
  b.backend = endpoint("2001:db8::ffff", 65535);
  b.proxy_bytes = 127;
  expect_only(table_, a, b, [&](bool) { return table_.from_client(a.client, kVip); });
}

TEST_F(ToldTableTest, AReaderNeverCombinesTwoFlows) {
  const ToldFlow a = spliced_fullnat_flow(1000);
  ToldFlow b = a;
  b.backend = endpoint("2001:db8::ffff", 65535);
  b.splice->sequence = 5;
  b.splice->timestamp = 6;
  expect_only(table_, a, b, [&](bool) { return table_.from_client(a.client, kVip); });
  b.local = endpoint("2001:db8::1", 9);
  expect_only(table_, a, b, [&](bool of_a) {
    const ToldFlow& wanted = of_a ? a : b;
    return table_.from_local(wanted.local, wanted.backend);
  });
}

}  // namespace
}  // namespace sluice::testing
