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

/// Clients, of whom each sends the same SYN whenever it is told to, amid a flood that keeps the worker behind.
class ClientsAmidAFlood : public SynShedderTest {
 protected:
  static constexpr uint32_t kClients = 64;

  void SetUp() override {
    SynShedderTest::SetUp();
    full(SynShedder::kBehindMs + SynShedder::kJudgeMs * SynShedder::kMost / SynShedder::kStep);
  }
  static Endpoint address(uint32_t client) { return {Address::v4(Be32::of(0xc6336400 + client)), Be16::of(4000)}; }
  /// The flood goes on, and the worker keeps up with it by what it drops: it is behind just often enough for that.
  void pass(uint64_t ms) {
    for (const uint64_t end = bench_.now_ms() + ms; bench_.now_ms() < end;) {
      full(2 * SynShedder::kJudgeMs);
      easy(8, SynShedder::kJudgeMs);
    }
  }
  /// Each sends once, each at another place of a burst. Returns how many of them got through.
  uint32_t each_sends() {
    uint32_t through = 0;
    for (uint32_t client = 0; client < kClients; client++) {
      for (uint32_t i = 0; i < client % kBurst; i++) syn();
      bench_.client_sends(Frame().from(address(client)).to(kVip).syn().seq(client));
      for (uint32_t i = client % kBurst + 1; i < kBurst; i++) syn();
      turn(0);
      through += static_cast<uint32_t>(std::ranges::count(forwarded_, address(client), &ReadFrame::source));
    }
    return through;
  }
};

TEST_F(ClientsAmidAFlood, ASynThatComesAgainAfterASecondPasses) {
  EXPECT_LT(each_sends(), kClients / 4) << "the flood's share is theirs too, the first time";
  pass(1000);
  EXPECT_GT(each_sends(), kClients * 9 / 10) << "but where a SYN of the flood took one's place";
  bench_.expect_counter_law();
}

TEST_F(ClientsAmidAFlood, WhatComesAgainAtOnceIsNoClients) {
  each_sends();
  for (uint32_t n = 0; n < 4; n++) EXPECT_LT(each_sends(), kClients / 4);
}

TEST_F(ClientsAmidAFlood, WhatComesAgainMuchLaterIsAnotherConnection) {
  each_sends();
  pass(DroppedSyns::kLatestMs + 100);
  EXPECT_LT(each_sends(), kClients / 4);
}

TEST_F(SynShedderTest, AFloodThatRepeatsItsSynsIsDroppedLikeAnother) {
  const auto wave = [&] {
    const uint64_t before = shed();
    for (forged_ = 0; forged_ < 100 * kBurst;) full(1, 10);  // the same ones every second
    return static_cast<double>(shed() - before) / (100 * kBurst);
  };
  for (uint32_t n = 0; n < 8; n++) wave();
  ASSERT_EQ(now(), 1u);
  EXPECT_GT(wave(), 0.8) << "they pass only while that is not too many";
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

TEST(DroppedSyns, PassOneThatComesAllTheTimeTwiceASecondAtMost) {
  DroppedSyns dropped;
  constexpr uint64_t kMs = 20'000;
  uint64_t passed = 0;
  for (uint64_t ms = 0; ms < kMs; ms++) passed += dropped.comes_again(0x1234, 7, ms) ? 1 : 0;
  EXPECT_LE(passed, kMs / DroppedSyns::kSoonestMs);
  EXPECT_GT(passed, kMs / DroppedSyns::kSoonestMs / 2);
}

TEST(SynShedderOfSeveralWorkers, AFullRingOfPacketsHandedOverCountsAsAFullQueue) {
  WorkerBench bench({.flow_capacity = 65536, .workers = 2});
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

/// The first of two workers receives all, and the second owns it. A client that both know keeps both behind.
class BothOfTwoBehind : public ::testing::Test {
 protected:
  static constexpr uint32_t kClients = 64;
  static constexpr uint32_t kPollsOfATurn = 4;  // of each worker
  static constexpr uint32_t kWaiting = 1024;    // packets between the workers
  static constexpr uint64_t kToMostMs = SynShedder::kJudgeMs * (SynShedder::kMost / SynShedder::kStep + 1);

  void SetUp() override {
    bench_.put_backend(0, endpoint("10.0.1.10", 2525));
    bench_.put_service(0, kVip, {0});
    bench_.turn();
    for (uint32_t n = 0; clients_.size() <= kClients; n++) {
      const Endpoint client{Address::v4(Be32::of(0xc6336400 + n)), Be16::of(4000)};
      if (bench_.owner(client) == 1) clients_.push_back(client);
    }
    busy_ = clients_.back();
    clients_.pop_back();
  }

  /// Each worker finds a full burst in each of these turns. Returns how many SYNs reach the backend.
  uint32_t full(uint64_t turns, uint64_t ms) {
    uint32_t through = 0;
    for (uint64_t n = 0; n < turns; n++) {
      first_takes(kPollsOfATurn * (kMaxBurst - kBurst));
      segments(kPollsOfATurn * kBurst);
      bench_.turn(ms);
      for (const ReadFrame& frame : bench_.to_backends()) through += frame.flags == kTcpSyn ? 1 : 0;
    }
    return through;
  }
  void fill_ring() { first_takes(kWaiting); }
  void idle(uint64_t ms) {
    for (uint64_t n = 0; n < ms; n += SynShedder::kJudgeMs) bench_.turn(SynShedder::kJudgeMs);
    bench_.to_backends();
  }
  uint32_t each_sends() {
    for (const Endpoint& client : clients_) bench_.client_sends(Frame().from(client).to(kVip).syn().seq(1));
    return full(2 * kWaiting / (kPollsOfATurn * kMaxBurst), 0);
  }
  bool both_shed() const {
    const auto sheds = [&](uint32_t worker) {
      return bench_.stats(worker).counters[static_cast<size_t>(Counter::kShedsSynsNow)] == 1;
    };
    return sheds(0) && sheds(1);
  }

  WorkerBench bench_{{.flow_capacity = 65536, .workers = 2, .receive_descriptors = kRoom}};

 private:
  void segments(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) bench_.client_sends(Frame().from(busy_).to(kVip).seq(1).ack(1));
  }
  void first_takes(uint32_t count) {
    for (uint32_t taken = 0; taken < count; taken += kBurst) {
      segments(kBurst);
      bench_.worker(0).poll(bench_.now_ms());
    }
  }

  std::vector<Endpoint> clients_;
  Endpoint busy_;
};

TEST_F(BothOfTwoBehind, ASynThatComesAgainIsRepeatedOnceForBoth) {
  fill_ring();
  full(SynShedder::kTurnovers * kHandoverRingEntries / (kPollsOfATurn * kMaxBurst) + kToMostMs, 1);
  ASSERT_TRUE(both_shed());
  EXPECT_LT(each_sends(), kClients / 4);
  idle(2 * SynShedder::kJudgeMs * SynShedder::kMost / SynShedder::kBack + 100);
  fill_ring();
  full(kToMostMs, 1);
  ASSERT_TRUE(both_shed());
  EXPECT_GT(each_sends(), kClients / 2);
  bench_.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
