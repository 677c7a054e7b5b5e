// SPDX-License-Identifier: Apache-2.0
//
// Several workers on devices with one queue each: whatever arrives, what comes out is what a single worker sends.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "dataplane/worker/handover.h"
#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/traffic.h"

namespace sluice::testing {
namespace {

using channel::Counter;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kBackend = endpoint("10.0.1.10", 2525);

Endpoint client(uint16_t port) {
  return endpoint("198.51.100.7", port);
}

/// What came out, in no order: ports and workers have none between them.
std::vector<Bytes> sorted(std::vector<Bytes> frames) {
  std::sort(frames.begin(), frames.end());
  return frames;
}

/// Whether a counter says what became of traffic, not how workers went about it.
bool is_about_traffic(Counter counter) {
  if (counter == Counter::kHandedIn || counter == Counter::kHandedOut || counter == Counter::kFlowCapacity ||
      counter == Counter::kRssMisplaced) {
    return false;
  }
  return counter < Counter::kLoops;
}

/// Plays one conversation to a single worker and to several, and holds everything that comes out together.
void expect_equal_results(uint32_t workers, const std::vector<uint8_t>& bytes) {
  WorkerBench one;
  WorkerBench several({.workers = workers});
  Traffic::configure(one);
  Traffic::configure(several);
  Traffic traffic(bytes, false);
  for (uint32_t n = 0; const auto step = traffic.next(); n++) {
    SCOPED_TRACE("step " + std::to_string(n));
    for (WorkerBench* bench : {&one, &several}) {
      for (const Bytes& frame : step->frames) {
        (step->kind == Step::Kind::kClientFrame ? bench->front() : bench->back()).arrive(frame);
      }
      bench->turn(1 + step->wait_ms);
      bench->turns(3);  // fragments may be more than a burst
    }
    ASSERT_EQ(sorted(several.front().take()), sorted(one.front().take()));
    ASSERT_EQ(sorted(several.back().take()), sorted(one.back().take()));
    ASSERT_EQ(sorted(several.punted()), sorted(one.punted()));
  }
  for (size_t i = 0; i < channel::kCounterCount; i++) {
    const auto counter = static_cast<Counter>(i);
    if (!is_about_traffic(counter)) continue;
    EXPECT_EQ(several.counter(counter), one.counter(counter)) << channel::kCounterInfo[i].name;
  }
  EXPECT_GT(several.counter(Counter::kHandedIn), 0u);
  EXPECT_EQ(several.counter(Counter::kHandedIn), several.counter(Counter::kHandedOut));
  EXPECT_GT(one.counter(Counter::kForwarded), 100u) << "too little got through to prove anything";
  one.expect_counter_law();
  several.expect_counter_law();
}

TEST(Handover, GivesTheResultsOfASingleWorker) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 4711U;
  for (const uint32_t workers : {2U, 3U}) {
    for (unsigned round = 0; round < 6; round++) {
      SCOPED_TRACE(std::to_string(workers) + " workers, seed " + std::to_string(seed + round));
      std::mt19937 random(seed + round);
      std::vector<uint8_t> bytes(6000);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      expect_equal_results(workers, bytes);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(Handover, SpreadsClientsEvenlyAndKeepsBothDirectionsTogether) {
  WorkerBench bench({.workers = 4});
  bench.put_backend(0, kBackend);
  bench.put_service(0, kVip, {0});
  for (uint16_t port = 10000; port < 10400; port++) ASSERT_TRUE(bench.establish(client(port), kVip).has_value());
  EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), 400u);
  for (uint32_t worker = 0; worker < 4; worker++) {
    EXPECT_GT(bench.worker(worker).flows().size(), 60u) << worker;
    EXPECT_LT(bench.worker(worker).flows().size(), 140u) << worker;
  }
  bench.expect_counter_law();
}

TEST(Handover, CountsWhatFindsItsRingFull) {
  WorkerBench bench({.workers = 2});
  bench.put_backend(0, kBackend);
  bench.put_service(0, kVip, {0});
  bench.turn();
  // The second worker stands still: what is for it fills its ring.
  uint32_t sent = 0;
  while (bench.counter(Counter::kDropHandoverFull) == 0 && sent < 20'000) {
    for (int i = 0; i < 32; i++) bench.client_sends(Frame().from(client(static_cast<uint16_t>(sent++))).to(kVip).syn());
    bench.worker(0).poll(2'000'000);
  }
  EXPECT_GT(bench.counter(Counter::kDropHandoverFull), 0u);
  EXPECT_GE(sent, kHandoverRingEntries);
  for (int i = 0; i < 200; i++) bench.turn();
  bench.expect_counter_law();
  EXPECT_EQ(bench.counter(Counter::kHandedIn), bench.counter(Counter::kHandedOut));
}

TEST(Handover, ResetsOfAnotherWorkerLeaveByTheWorkerThatSends) {
  WorkerBench bench({.workers = 2});
  bench.put_service(0, kVip, {});
  bench.turn();
  for (uint16_t port = 1000; port < 1020; port++) bench.client_sends(Frame().from(client(port)).to(kVip).syn().seq(7));
  bench.turn();
  const auto answers = bench.to_clients();
  ASSERT_EQ(answers.size(), 20u);
  for (const ReadFrame& answer : answers) EXPECT_EQ(answer.ack, 8u);
  EXPECT_GT(bench.stats(1).counters[static_cast<size_t>(Counter::kResetsToClient)], 0u);
  bench.expect_counter_law();
}

TEST(Handover, JunkFragmentsAreAskedAboutUpToALimit) {
  constexpr uint32_t kWorkers = 8, kJunk = 1000;
  WorkerBench bench({.workers = kWorkers});
  bench.put_service(0, kVip, {});
  bench.turn();
  for (uint32_t n = 0; n < kJunk; n++) {
    const Frame whole =
        Frame().from(client(1)).to(kVip).ack(1).payload(Bytes(1000, 'x')).to_mac(WorkerBench::front_mac());
    bench.front().arrive(cut(whole.bytes(), 600, n)[1]);
    if (n % 32 == 31) bench.turn();
  }
  bench.turn();
  const uint32_t asked = SourceBudget::unreserved(Handover::kAskBurst);
  EXPECT_EQ(bench.counter(Counter::kHandedOut), asked * (kWorkers - 1));
  EXPECT_EQ(bench.counter(Counter::kDropFragment), kJunk);
  const auto ask = [&](const char* source) {
    const Frame whole =
        Frame().from(endpoint(source, 1)).to(kVip).ack(1).payload(Bytes(1000, 'x')).to_mac(WorkerBench::front_mac());
    bench.front().arrive(cut(whole.bytes(), 600, 7)[1]);
    bench.turn();
    return bench.counter(Counter::kHandedOut) / (kWorkers - 1);
  };
  EXPECT_EQ(ask("203.0.113.200"), asked + 1) << "another source's is not held back";
  bench.turn(1000);
  EXPECT_EQ(ask("198.51.100.200"), asked + 2);
  bench.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
