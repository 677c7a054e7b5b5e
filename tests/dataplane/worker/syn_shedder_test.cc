// SPDX-License-Identifier: Apache-2.0
//
// A worker that is behind drops SYNs before packets of open sessions, and one that is merely busy drops none.
#include "dataplane/worker/syn_shedder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;

constexpr uint32_t kRoom = 64;   // packets that a port's queue holds, as the worker is told
constexpr uint32_t kBurst = 32;  // what it asks for
constexpr uint64_t kTurnMs = 1;

class SynShedderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    bench_.put_backend(0, endpoint("10.0.1.10", 2525));
    bench_.put_service(0, kVip, {0});
    bench_.turn();
  }

  void syn() {
    bench_.client_sends(
        Frame().from({Address::v4(Be32::of(0x0b000000 + forged_++)), Be16::of(1)}).to(kVip).syn().seq(1));
  }
  void turn(uint64_t ms = kTurnMs) {
    bench_.turn(ms);
    forwarded_ = bench_.to_backends();
    bench_.to_clients();
  }
  /// Turns in each of which the worker finds a full burst, of SYNs but for `others`.
  void full(uint32_t turns, uint64_t ms = kTurnMs, const std::vector<Frame>& others = {}) {
    for (uint32_t n = 0; n < turns; n++) {
      for (const Frame& other : others) bench_.client_sends(other);
      for (size_t i = others.size(); i < kBurst; i++) syn();
      turn(ms);
    }
  }
  /// Turns in which a few SYNs come.
  void easy(uint32_t turns, uint64_t ms = kTurnMs) {
    for (uint32_t n = 0; n < turns; n++) {
      syn();
      turn(ms);
    }
  }
  uint64_t shed() const { return bench_.counter(Counter::kDropSynShed); }
  uint64_t now() const { return bench_.counter(Counter::kShedsSynsNow); }

  WorkerBench bench_{{.flow_capacity = 65536, .receive_descriptors = kRoom}};
  std::vector<ReadFrame> forwarded_;
  uint32_t forged_ = 0;
};

TEST_F(SynShedderTest, ABurstOfSynsThatMeetsAnIdleWorkerLosesNothing) {
  for (uint32_t i = 0; i < 1000; i++) syn();  // fifteen times what it was told that the queue holds, in no time
  for (uint32_t n = 0; n < 40; n++) turn(0);
  EXPECT_EQ(shed(), 0u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsCreated), 1000u);
  EXPECT_EQ(now(), 0u);
  bench_.expect_counter_law();
}

TEST_F(SynShedderTest, BusyIsNotBehind) {
  for (uint32_t round = 0; round < 50; round++) {
    full(SynShedder::kBehindMs - 1);
    easy(1);  // the queue was empty once
  }
  EXPECT_EQ(shed(), 0u);
  EXPECT_EQ(now(), 0u);
}

TEST_F(SynShedderTest, LongIsNotBehindWhereLittleHasGoneBy) {
  full(SynShedder::kTurnovers * kRoom / kBurst - 1, 1000);
  EXPECT_EQ(now(), 0u);
  full(1);
  EXPECT_EQ(now(), 1u);
}

TEST_F(SynShedderTest, DropsMoreUntilItKeepsUpAndNoneOfThatIsOpen) {
  ASSERT_TRUE(bench_.establish(kClient, kVip));
  full(SynShedder::kBehindMs + 1);
  ASSERT_EQ(now(), 1u);
  const Frame segment = Frame().from(kClient).to(kVip).seq(1001).ack(5001);
  const Frame ack_of_stranger = Frame().from(endpoint("198.51.100.8", 1)).to(kVip).seq(1).ack(1);
  uint64_t before = shed();
  for (uint32_t n = 0; n < 300; n++) {
    full(1, kTurnMs, {segment, ack_of_stranger});
    ASSERT_TRUE(std::ranges::any_of(forwarded_, [](const ReadFrame& one) { return one.source == kClient; })) << n;
  }
  EXPECT_GT(shed() - before, 200 * (kBurst - 2));
  before = shed();
  full(64);
  const double share = static_cast<double>(shed() - before) / (64 * kBurst);
  EXPECT_NEAR(share, SynShedder::kMost / 256.0, 0.01) << "some always get through";
  bench_.expect_counter_law();
}

TEST_F(SynShedderTest, EndsWhenForAWhileNoneHadToBeDropped) {
  full(100);
  ASSERT_EQ(now(), 1u);
  easy(1000);  // by then the share is down
  const uint64_t before = shed();
  easy(SynShedder::kQuietMs / 2, 1);
  EXPECT_EQ(shed(), before);
  EXPECT_EQ(now(), 1u) << "another flood would meet it ready";
  full(SynShedder::kJudgeMs * 2 + 2);
  EXPECT_GT(shed(), before);
  easy(200, 50);
  EXPECT_EQ(now(), 0u);
  const uint64_t after = shed();
  full(SynShedder::kBehindMs - 1);
  EXPECT_EQ(shed(), after);
}

TEST_F(SynShedderTest, WhatIsForTheKernelIsNotDropped) {
  full(200);
  ASSERT_EQ(now(), 1u);
  const uint64_t before = shed();
  const Frame ssh = Frame().from(kClient).to({WorkerBench::own_front(), Be16::of(22)}).syn().seq(1);
  for (uint32_t i = 0; i < 16; i++) bench_.client_sends(ssh);
  turn();
  EXPECT_EQ(bench_.punted().size(), 16u);
  EXPECT_EQ(shed(), before);
}

TEST_F(SynShedderTest, Ipv6AndOneArmedPortsAreNoExceptions) {
  WorkerBench bench(
      {.flow_capacity = 65536, .front = Faces::kBoth, .back = Faces::kBoth, .receive_descriptors = kRoom});
  bench.put_backend(0, endpoint("fd00:1::10", 2525));
  bench.put_service(0, kVip6, {0});
  for (uint32_t n = 0; n < 100; n++) {
    for (uint32_t i = 0; i < kBurst; i++) {
      bench.client_sends(
          Frame().from(endpoint("2001:db8:7::" + std::to_string(n * kBurst + i), 1)).to(kVip6).syn().seq(1));
    }
    bench.turn(1);
    bench.back().take();
  }
  EXPECT_GT(bench.counter(Counter::kDropSynShed), 0u);
  bench.expect_counter_law();
}

TEST(SynShedderOfSeveralWorkers, AFullRingOfPacketsHandedOverCountsAsAFullQueue) {
  WorkerBench bench({.flow_capacity = 65536, .workers = 2, .spread = Spread::kHandover});
  bench.put_backend(0, endpoint("10.0.1.10", 2525));
  bench.put_service(0, kVip, {0});
  bench.turn();
  uint32_t forged = 0;
  for (uint32_t n = 0; n < 2000 && bench.counter(Counter::kDropSynShed) == 0; n++) {
    for (uint32_t i = 0; i < 256; i++) {  // more for the second worker than it takes at a time
      bench.client_sends(
          Frame().from({Address::v4(Be32::of(0x0b000000 + forged++)), Be16::of(1)}).to(kVip).syn().seq(1));
    }
    for (uint32_t i = 0; i < 8; i++) bench.worker(0).poll(bench.now_ms());
    bench.turn(1);
    bench.back().take();
  }
  EXPECT_GT(bench.stats(1).counters[static_cast<size_t>(Counter::kDropSynShed)], 0u);
  bench.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
