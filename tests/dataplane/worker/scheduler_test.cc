// SPDX-License-Identifier: Apache-2.0
//
// Schedulers as the worker carries them out, over tables as control builds them.
#include <gtest/gtest.h>

#include <map>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Scheduler;

const Endpoint kVip = endpoint("192.0.2.25", 25);

Endpoint backend(uint16_t id) {
  return endpoint("10.0.1." + std::to_string(10 + id), 25);
}

class SchedulerTest : public ::testing::Test {
 protected:
  void TearDown() override { bench_.expect_counter_law(); }

  void configure(Scheduler scheduler, const std::vector<uint16_t>& weights, const std::vector<uint16_t>& table,
                 uint32_t max_connections = 0) {
    channel::PutService service{};
    service.scheduler = scheduler;
    for (uint16_t id = 0; id < weights.size(); id++) {
      bench_.put_backend(id, backend(id), weights[id], max_connections);
      service.total_weight += weights[id];
    }
    bench_.put_service(0, kVip, table, service);
    bench_.turn();
  }

  /// Opens a flow; the last byte of its backend's address less 10, or -1 if it was refused.
  int open(uint32_t n, uint32_t address = 0) {
    const Endpoint client{Address::v4(Be32::of(0x0b000000 + address)), Be16::of(static_cast<uint16_t>(1000 + n))};
    const auto got = bench_.establish(client, kVip);
    return got ? got->address.bytes[15] - 10 : -1;
  }

  WorkerBench bench_;
};

TEST_F(SchedulerTest, WrrTakesTheTableInTurn) {
  configure(Scheduler::kWrr, {2, 1}, {0, 1, 0});
  std::map<int, int> counts;
  for (uint32_t i = 0; i < 300; i++) counts[open(i)]++;
  EXPECT_EQ(counts[0], 200);
  EXPECT_EQ(counts[1], 100);
}

TEST_F(SchedulerTest, LeastConnEvensOutWhatIsOpen) {
  configure(Scheduler::kLeastConn, {100, 100, 100, 100}, {0, 1, 2, 3});
  std::map<int, int> counts;
  for (uint32_t i = 0; i < 2000; i++) counts[open(i)]++;
  for (int id = 0; id < 4; id++) EXPECT_NEAR(counts[id], 500, 25) << id;
}

TEST_F(SchedulerTest, LeastConnHeedsWeights) {
  configure(Scheduler::kLeastConn, {300, 100}, {0, 1, 0, 0});
  std::map<int, int> counts;
  for (uint32_t i = 0; i < 2000; i++) counts[open(i)]++;
  EXPECT_NEAR(counts[0], 1500, 60);
}

TEST_F(SchedulerTest, SourceKeepsAClientTogetherUntilItsBackendIsOverloaded) {
  configure(Scheduler::kSource, {100, 100, 100, 100}, {0, 1, 2, 3});
  // Spread load first, so that one client's flows do not overload anybody.
  for (uint32_t i = 0; i < 400; i++) open(i, 5 * i + 1);
  const int home = open(1, 77'777);
  for (uint32_t i = 2; i < 6; i++) EXPECT_EQ(open(i, 77'777), home);
  // One client alone opens hundreds: they spill over, and nobody gets more than 5/4 of the mean, rounded up.
  for (uint32_t i = 10; i < 800; i++) open(i, 88'888);
  const uint64_t total = bench_.stats().services[0].flows_now;
  for (uint16_t id = 0; id < 4; id++) {
    EXPECT_LE(bench_.stats().backends[id].flows_now, (5 * total + 15) / 16 + 1) << id;
  }
}

TEST_F(SchedulerTest, MaxConnectionsIsNotExceeded) {
  configure(Scheduler::kMaglev, {100, 100}, {0, 1}, 10);
  int placed = 0;
  for (uint32_t i = 0; i < 40; i++) placed += open(i) >= 0 ? 1 : 0;
  EXPECT_EQ(placed, 20);
  EXPECT_EQ(bench_.stats().backends[0].flows_now, 10u);
  EXPECT_EQ(bench_.counter(Counter::kDropBackendLimit), 20u);
}

}  // namespace
}  // namespace sluice::testing
